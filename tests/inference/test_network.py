import keras
import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from tests.tolerances import EVENT_DRIVEN32, EVENT_DRIVEN64
from ttfs_keras.models.small import small_mobilenet, small_resnet
from ttfs_keras.ops import event_driven as ops
from ttfs_keras.ops import library as loader

pytestmark = pytest.mark.skipif(loader.find() is None, reason="the op library was not built")

SHAPE = (12, 12, 3)


def cnn():
    """Return a CNN whose batch norms come behind ReLUs, so that biases become maps at the borders."""
    x = inputs = keras.Input(SHAPE)
    for filters, strides in ((8, 1), (20, 2)):
        x = layers.Conv2D(filters, 3, strides, padding="same", activation="relu")(x)
        x = layers.BatchNormalization(beta_initializer="normal", moving_mean_initializer="normal")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Dense(24, "relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(5, name="readout")(x))


NETWORKS = {
    "cnn": cnn,
    "residual": lambda: small_resnet(SHAPE, 5, width=8),
    "depthwise": lambda: small_mobilenet(SHAPE, 5, width=8),
}


def images(samples=3):
    return np.random.default_rng(0).uniform(size=(samples, *SHAPE))


def mapped(name, dtype="float32", **arguments):
    keras.utils.set_random_seed(0)
    try:
        keras.config.set_floatx(dtype)  # of inputs
        keras.config.set_dtype_policy(dtype)  # of layers
        model = NETWORKS[name]()
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
    return tk.convert(model, images(8), **arguments)


def everywhere(snn):
    return {layer.name: "event_driven" for layer in tk.event_driven(snn, images(), plan={}).plan.layers}


def assert_equal(model, expected, x, tolerance):
    for found, wanted in zip(keras.tree.flatten(model(x)), keras.tree.flatten(expected(x)), strict=True):
        wanted = np.asarray(wanted)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", EVENT_DRIVEN32), ("float64", EVENT_DRIVEN64)])
def test_every_layer_event_driven_gives_the_networks_outputs(name, dtype, tolerance):
    snn = mapped(name, dtype)
    x = images().astype(dtype)
    model = tk.event_driven(snn, x, plan=everywhere(snn))
    assert set(model.plan.choices.values()) == {"event_driven"} and len(model.plan.layers) > 3
    assert not [layer for layer in model.layers if hasattr(layer, "kernel")]
    assert_equal(model, snn, x, tolerance)
    assert tk.synaptic_operations(model, x) == tk.synaptic_operations(snn, x)
    for layer, times in tk.spikes(snn, x).items():
        np.testing.assert_allclose(tk.spikes(model, x)[layer], times, atol=1e-4)


def test_a_plan_is_measured_on_the_sample():
    snn, x = mapped("cnn"), images(2)
    plan = tk.event_driven(snn, x).plan
    assert [layer.name for layer in plan.layers] == list(everywhere(snn))
    for layer in plan.layers:
        assert layer.choice == ("event_driven" if layer.event_driven_ms < layer.dense_ms else "dense")
    assert sum(layer.weights_applied for layer in plan.layers) == tk.synaptic_operations(snn, x)
    lines = str(plan).splitlines()
    assert lines[0].split() == [
        "layer",
        "spikes/neuron",
        "weights",
        "applied",
        "event-driven",
        "ms",
        "dense",
        "ms",
        "choice",
    ]
    assert [line.split()[0] for line in lines[1:]] == list(plan.choices)
    spikes = np.isfinite(list(tk.spikes(snn, x).values())[1]).mean()  # that the second convolution reads
    assert plan.layers[1].spikes_per_neuron == pytest.approx(spikes)
    again = tk.event_driven(snn, x, plan=plan)
    assert again.plan == plan


def test_a_fixed_plan_leaves_other_layers_dense():
    snn, x = mapped("cnn"), images()
    names = list(everywhere(snn))
    model = tk.event_driven(snn, x, plan={names[1]: "event_driven", names[2]: "dense"})
    assert model.plan.choices == dict(zip(names, ["dense", "event_driven", "dense", "dense"], strict=True))
    assert type(model.get_layer(names[0])) is tk.TTFSConv2D
    assert_equal(model, snn, x, EVENT_DRIVEN32)
    assert "-" in str(model.plan)


def test_the_model_has_weights_of_its_own_and_holds_none_twice():
    snn, x = mapped("cnn"), images()
    name = next(iter(everywhere(snn)))
    model = tk.event_driven(snn, x, plan={name: "event_driven"})
    before = np.asarray(model(x))
    for weight in snn.weights:
        weight.assign(weight * 0)
    np.testing.assert_array_equal(model(x), before)
    assert model.count_params() < 1.5 * snn.count_params() and not model.get_layer(name).trainable_weights


@pytest.mark.parametrize("name", NETWORKS)
def test_save_and_load(name, tmp_path):
    snn, x = mapped(name), images().astype("float32")
    names = list(everywhere(snn))
    model = tk.event_driven(snn, x, plan=dict.fromkeys(names[1:], "event_driven"))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    assert loaded.plan == model.plan


def test_perturbations_stay():
    perturbation = [tk.WeightQuantization(4, -1.0, 1.0), tk.TimeQuantization(3), tk.SpikeTimeJitter(0.01, seed=1)]
    snn, x = mapped("cnn", perturbation=perturbation), images()
    model = tk.event_driven(snn, x, plan=everywhere(snn))
    assert_equal(model, snn, x, EVENT_DRIVEN32)


def test_models_within_models_several_outputs_and_other_ranks():
    inner = keras.Sequential([keras.Input((6, 4)), tk.TTFSDense(5), tk.TTFSDense(7)], name="inner")
    inputs = keras.Input((6, 4), name="image")
    hidden = inner(tk.TTFSEncoder()(inputs))
    snn = keras.Model({"image": inputs}, {"a": tk.TTFSReadout(2)(hidden), "b": hidden})
    x = np.random.default_rng(0).uniform(size=(3, 6, 4))
    choices = everywhere_of(snn, {"image": x})
    model = tk.event_driven(snn, {"image": x}, plan=choices)
    assert len(choices) == 3 and set(model({"image": x})) == {"a", "b"}
    assert_equal(model, snn, {"image": x}, EVENT_DRIVEN32)


def everywhere_of(snn, x):
    return dict.fromkeys(tk.event_driven(snn, x, plan={}).plan.choices, "event_driven")


def test_images_of_free_size():
    inputs = keras.Input((None, None, 2))
    x = tk.TTFSConv2D(4, 3, padding="same", name="first")(tk.TTFSEncoder()(inputs))
    x = tk.TTFSConv2D(4, 3, strides=2, padding="same", name="strided")(x)
    snn = keras.Model(inputs, tk.TTFSConv2D(4, 3, dilation_rate=2, name="valid")(x))
    model = tk.event_driven(snn, np.zeros((1, 12, 12, 2)), plan={"first": "event_driven", "valid": "event_driven"})
    assert list(model.plan.choices) == ["first", "valid"]  # where padding depends on the size, layers stay dense
    for side in (12, 13):
        assert_equal(model, snn, np.random.default_rng(0).uniform(size=(2, side, side, 2)), EVENT_DRIVEN32)


def test_a_wrong_plan_names_all_its_problems():
    snn = mapped("cnn")
    name = next(iter(everywhere(snn)))
    with pytest.raises(ValueError, match=f"(?s)'nowhere'.*'{name}'.*'sparse'.*Layers that can: {name}"):
        tk.event_driven(snn, images(), plan={"nowhere": "dense", name: "sparse"})


def test_weights_that_are_not_finite_are_refused():
    snn = mapped("cnn")
    names = list(everywhere(snn))
    for name in names[1:3]:
        snn.get_layer(name).bias.assign(snn.get_layer(name).bias * np.nan)
    with pytest.raises(ValueError, match=f"(?s){names[1]}: expected finite.*{names[2]}: expected finite"):
        tk.event_driven(snn, images(), plan=dict.fromkeys(names, "event_driven"))


def test_inputs_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="expected shape"):
        tk.event_driven(mapped("cnn"), np.zeros((1, 5, 5, 3)))


def test_without_the_library_the_error_says_so(monkeypatch):
    snn = mapped("cnn")
    monkeypatch.setattr(ops, "library", lambda: None)
    with pytest.raises(tk.OpLibraryError, match="compiled op library"):
        tk.event_driven(snn, images())
