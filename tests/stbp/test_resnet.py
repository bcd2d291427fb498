import keras
import numpy as np
import pytest
from keras import layers

from tests.stbp.networks import compiled, digits, small_network
from tests.stbp.tolerances import FIRING, FIRST_STEP, SAVED
from tests.tolerances import FLOAT64
from ttfs_keras import stbp
from ttfs_keras.network.graph import layers_of
from ttfs_keras.stbp.surrogates import Shifted


def norms_at_joins(model):
    """Return the alpha of the batch norm on every branch of every join, None where there is none."""
    makers = {id(output): layer for layer in model.layers for output in [layer.output]}
    branches = [makers[id(tensor)] for layer in layers_of(model, layers.Add) for tensor in layer.input]
    return [getattr(branch, "alpha", None) for branch in branches]


def test_resnet19_is_the_papers():
    model = stbp.resnet19((32, 32, 3), 10)
    convolutions = [layer for layer in layers_of(model, stbp.TimeFolded) if isinstance(layer.layer, layers.Conv2D)]
    main = [layer.layer for layer in convolutions if "shortcut" not in layer.name]
    assert [layer.filters for layer in main] == [128] * 7 + [256] * 6 + [512] * 4
    assert [index for index, layer in enumerate(main) if layer.strides != (1, 1)] == [7, 13]
    assert [layer.output.shape[1:] for layer in convolutions if layer.name.startswith("block3-1")] == [
        (2, 8, 8, 512), (2, 8, 8, 512), (2, 8, 8, 512)
    ]  # fmt: skip
    assert [layer.units for layer in layers_of(model, layers.Dense)] == [256, 10]
    assert not any(layer.layer.use_bias for layer in convolutions)
    np.testing.assert_allclose(norms_at_joins(model), [0.5**0.5] * 16)
    assert model.output.shape == (None, 10)


def test_seed_preset_is_the_seeds():
    model = stbp.resnet19(preset="seed")
    assert round(model.count_params() / 1e6, 1) == 12.6
    assert model.get_layer("stem_conv").layer.filters == 64
    alphas = norms_at_joins(model)
    assert alphas.count(None) == 5  # shortcuts of the eight blocks that keep their shape
    for lif in layers_of(model, stbp.LIF):
        assert (lif.threshold, lif.decay, lif.width) == (0.4, 0.25, 1.0)
        assert isinstance(lif.surrogate, Shifted) and lif.surrogate.shift == -0.4
    assert model.get_layer("steps").time_steps == 2
    x, _ = digits(4)
    logits = stbp.resnet9(preset="seed")(x, training=True).numpy()
    assert set(np.unique(logits)) <= {0, 0.5, 1}


def test_resnet9_has_the_parameters_of_a_small_machine():
    assert round(stbp.resnet9().count_params(), -3) == 83000


def test_stride_2_pads_on_both_sides():
    kernel_sums = stbp.resnet9(dtype="float64").get_layer("stem_conv")
    pad = stbp.resnet9().get_layer("stem_conv_pad").layer
    assert pad.padding == ((1, 1), (1, 1)) and kernel_sums.layer.padding == "valid"
    assert kernel_sums.output.shape == (None, 1, 14, 14, 16)


@pytest.mark.parametrize("time_steps", [1, 2, 4])
@pytest.mark.parametrize("threshold", [0.4, 1.0])
def test_at_init_as_many_inputs_exceed_the_threshold_as_exceed_one_deviation_whatever_the_depth(threshold, time_steps):
    keras.utils.set_random_seed(1)
    settings = stbp.Settings(time_steps, threshold)
    x = inputs = keras.Input((12, 12, 8))
    x = stbp.RepeatSteps(time_steps)(settings.norm("norm")(stbp.DirectEncoder()(x)))
    x = settings.neurons("lif")(x)
    for block in range(6):
        x = stbp.residual_block(x, 32, 1, f"block{block}", settings)
    neurons = layers_of(keras.Model(inputs, x), stbp.LIF)
    assert len(neurons) == 13
    tensors = [[layer.input for layer in neurons], [layer.output for layer in neurons]]
    images = np.random.default_rng(0).normal(size=(16, 12, 12, 8)).astype("float32")
    currents, spikes = keras.Model(inputs, tensors)(images, training=True)
    above = [np.mean(np.array(values) > threshold) for values in currents]
    first = [np.mean(np.array(values)[:, 0]) for values in spikes]
    np.testing.assert_allclose(above, 0.159, rtol=0, atol=FIRING)
    np.testing.assert_allclose(first[0], 0.159, rtol=0, atol=FIRING)
    np.testing.assert_allclose(first, 0.159, rtol=0, atol=FIRING if time_steps == 1 else FIRST_STEP)


@pytest.mark.parametrize("training", [False, True])
def test_the_stem_computed_once_is_the_stem_computed_at_every_step(training):
    x = digits(8)[0].astype("float64")
    once, every = (small_network(time_steps=3, dtype="float64", encoder=encoder) for encoder in ("direct", None))
    every.set_weights(once.get_weights())
    repeated = np.repeat(x[:, None], 3, axis=1)
    outputs = [model(images, training=training) for model, images in ((once, x), (every, repeated))]
    np.testing.assert_allclose(*outputs, rtol=0, atol=FLOAT64)
    for received, expected in zip(once.get_weights(), every.get_weights(), strict=True):
        np.testing.assert_allclose(received, expected, rtol=0, atol=FLOAT64)


@pytest.mark.parametrize(
    ("settings", "jit_compile"),
    [
        ({}, False),
        pytest.param({}, True, marks=pytest.mark.slow),
        ({"encoder": "bernoulli", "decoder": "rate"}, False),
        ({"encoder": "latency", "decoder": "membrane", "trainable_threshold": True, "reset": "subtract"}, False),
    ],
    ids=str,
)
def test_networks_learn_and_survive_saving(settings, jit_compile, tmp_path):
    keras.utils.set_random_seed(0)
    model = compiled(small_network(**settings))
    model.jit_compile = jit_compile
    x, y = digits(96)
    losses = model.fit(x, y, batch_size=32, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x), model(x), rtol=0, atol=SAVED)


def test_resnet9_takes_a_training_step_from_images_to_logits():
    x, y = digits(32)
    model = compiled(stbp.resnet9())
    model.run_eagerly = True  # one step is quicker than its graph
    before = model.get_weights()
    assert np.isfinite(model.train_on_batch(x, y)).all()
    assert all((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"time_steps": 0}, r"time steps >= 1"),
        ({"surrogate": "step"}, "'rectangle', 'triangle'"),
        ({"preset": "paper"}, "preset: expected 'default' or 'seed'"),
        ({"encoder": "rate", "decoder": "max"}, "(?s)encoder one of 'direct'.*decoder one of 'mean'"),
        ({"alpha": 0, "threshold": 0}, "(?s)threshold > 0.*alpha > 0"),
    ],
)
def test_bad_settings_are_refused_all_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        stbp.resnet9(**arguments)
