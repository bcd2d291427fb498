import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import (
    FLATTEN,
    RANGES,
    RELU,
    TOLERANCE,
    activations,
    conv,
    dense,
    error,
    images,
    norm,
    outputs,
    pool,
    randomize,
    sequential,
)  # fmt: skip
from ttfs_keras.conversion import registry
from ttfs_keras.conversion.rules.shape import map_identity


def small(**arguments):
    return sequential(
        (5, 6, 2), conv(padding="same"), norm(), pool(), conv(kernel_size=(2, 1), padding="same"), norm(), FLATTEN,
        dense(activation="relu"), norm(), dense(4), **arguments,
    )  # fmt: skip


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 2)])
@pytest.mark.parametrize("input_range", RANGES)
def test_images_smaller_than_the_kernel(shape, channels, input_range):
    model = sequential(
        (*shape, channels), conv(kernel_size=5, padding="same"), norm(), conv(padding="same", strides=2), norm(),
        FLATTEN, dense(),
    )  # fmt: skip
    x = images(model, input_range)
    assert error(model, tk.convert(model, x, input_range), x[:1]) <= TOLERANCE["float64"]


def test_converting_twice_gives_the_same_network():
    model = small()
    x = images(model)
    first, second = (tk.convert(model, x) for _ in range(2))
    assert first.get_config() == second.get_config()
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_converted_network_has_the_source_interface():
    model = small()
    snn = tk.convert(model, images(model))
    assert snn.input_shape == model.input_shape and snn.output_shape == model.output_shape
    assert snn.inputs[0].name == model.inputs[0].name and snn.name == f"{model.name}_ttfs"
    assert {layer.name for layer in snn.layers} >= {layer.name for layer in model.layers if hasattr(layer, "kernel")}
    assert {v.dtype for v in snn.variables} == {"float64"}


def test_saved_network_gives_the_same_outputs(tmp_path):
    model = small()
    x = images(model, (-3, 3))
    snn = tk.convert(model, x, (-3, 3), quantile=0.9, perturbation=[tk.TimeQuantization(6), tk.WeightQuantization(6)])
    snn.save(tmp_path / "snn.keras")
    np.testing.assert_array_equal(outputs(keras.models.load_model(tmp_path / "snn.keras"), x), outputs(snn, x))


def border_map(offset, kernel, bias, shape):
    """What a constant image gives, zero outside it, by loops over the positions; stride 1, padding 'same'."""
    rows, columns = kernel.shape[:2]
    top, left = (rows - 1) // 2, (columns - 1) // 2
    result = np.empty((*shape, kernel.shape[-1]))
    for y, x in np.ndindex(*shape):
        inside = [
            offset @ kernel[r, c]
            for r, c in np.ndindex(rows, columns)
            if 0 <= y + r - top < shape[0] and 0 <= x + c - left < shape[1]
        ]
        result[y, x] = bias + np.sum(inside, axis=0)
    return result


def test_fine_tuning_keeps_the_border_tied():
    model = sequential((4, 5, 2), conv(3), norm(), conv(kernel_size=(3, 2), padding="same"), norm(), FLATTEN, dense(4))
    x = images(model, samples=16)
    snn = tk.convert(model, x)
    layer = next(layer for layer in snn.layers if getattr(layer, "input_affine", None) is not None)
    before = layer.get_weights()
    snn.compile(keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = snn.fit(x, np.arange(16) % 4, batch_size=8, epochs=10, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]

    scale, offset = (np.asarray(v) for v in (layer.input_affine.scale, layer.input_affine.offset))
    kernel, bias = np.asarray(layer.kernel), np.asarray(layer.bias)
    moved = [not np.array_equal(old, new) for old, new in zip(before, layer.get_weights(), strict=True)]
    named = dict(zip((v.path.removeprefix(f"{layer.name}/") for v in layer.weights), moved, strict=True))
    assert named["kernel"] and named["bias"] and any(v for k, v in named.items() if k.endswith("offset"))
    assert not any(v for k, v in named.items() if k.endswith("scale"))
    weights, offsets = layer.trained_weights((None, *layer.input.shape[1:]))
    np.testing.assert_allclose(weights, kernel * scale[:, None], rtol=1e-14)
    expected = border_map(offset, kernel, bias, layer.output.shape[1:3])
    np.testing.assert_allclose(np.asarray(offsets)[0], expected, atol=TOLERANCE["float64"])


@pytest.mark.parametrize("margin", [-0.5, 0.0, 0.5, 2.0])
def test_windows_are_the_largest_activations_and_a_margin(margin):
    model = sequential(
        (5, 5, 1), conv(), norm(), conv(activation=None), RELU, FLATTEN, dense(5, activation="relu"), dense()
    )
    x = images(model, samples=300)  # more than a batch of the calibration
    snn = tk.convert(model, x, margin=margin)
    fired = [
        layer
        for layer in model.layers
        if getattr(layer, "activation", None) is keras.activations.relu or isinstance(layer, layers.ReLU)
    ]
    expected = [(1 + margin) * values.max() for values in activations(model, fired, x)]
    windows = [float(layer.window) for layer in snn.layers if isinstance(layer, tk.TTFSConv2D | tk.TTFSDense)]
    np.testing.assert_allclose(windows, expected, rtol=1e-12)
    if margin >= 0:
        assert error(model, snn, x) <= TOLERANCE["float64"]
    else:
        assert error(model, snn, x) > 0.01, "nothing saturated"


def test_windows_from_a_quantile():
    model = sequential((40,), dense(50, activation="relu"), dense())
    x = images(model, samples=100)
    (hidden,) = activations(model, model.layers[:1], x)
    ordered = np.sort(hidden[hidden > 0])
    snn = tk.convert(model, x, margin=0.25, quantile=0.9)
    expected = 1.25 * ordered[int(np.ceil(0.9 * len(ordered))) - 1]
    assert float(snn.get_layer("dense_0").window) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [({}, "GrowToMaximum"), ({"margin": -0.2}, "FixedWindow"), ({"quantile": 0.9}, "TrackQuantile")],
)
def test_windows_move_in_fine_tuning_as_they_were_calibrated(arguments, rule):
    model = sequential((3,), dense(4, activation="relu"), dense())
    neuron = tk.convert(model, images(model), **arguments).get_layer("dense_0").neuron
    assert type(neuron.window_rule).__name__ == rule
    for name in ("margin", "quantile"):
        if hasattr(neuron.window_rule, name):
            assert getattr(neuron.window_rule, name) == arguments.get(name, 0.5)


def test_all_bad_arguments_and_weights_are_listed_at_once():
    model = sequential((3,), dense(4, activation="relu"), dense())
    model.layers[0].kernel.assign(np.full((3, 4), np.nan))
    arguments = {"input_range": (1, 0), "margin": -1, "quantile": 1.1, "windows": "wide"}
    with pytest.raises(tk.ConversionError) as caught:
        tk.convert(model, images(model), **arguments)
    for expected in ("p < q", "margin: ", "quantile: ", "windows: ", "dense_0/kernel"):
        assert expected in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [{"margin": -1}, {"margin": float("nan")}, {"quantile": 0}, {"quantile": -0.1}, {"input_range": (0, np.inf)}],
)
def test_arguments_out_of_range(arguments):
    model = sequential((3,), dense(4, activation="relu"), dense())
    with pytest.raises(tk.ConversionError, match=f"{next(iter(arguments))}: expected .* Received: "):
        tk.convert(model, images(model), **arguments)


def test_dead_layer_gets_some_window():
    model = sequential((3,), dense(4, activation="relu"), dense(2, activation="relu"), dense())
    model.layers[0].bias.assign(np.full(4, -100.0))
    x = images(model)
    snn = tk.convert(model, x)
    assert float(snn.get_layer("dense_0").window) == 1.0
    assert error(model, snn, x) <= TOLERANCE["float64"]


def test_model_without_hidden_layer():
    model = sequential((2, 2, 1), FLATTEN, dense())
    x = images(model, (-1, 2))
    assert error(model, tk.convert(model, x, (-1, 2)), x) <= TOLERANCE["float64"]


def test_perturbation_reaches_every_layer():
    model = small()
    x = images(model, (-3, 3))
    bits = 3
    snn = tk.convert(model, x, (-3, 3), perturbation=[tk.WeightQuantization(bits, -2, 2), tk.TimeQuantization(bits)])
    acting = [
        layer for layer in snn.layers if not isinstance(layer, layers.InputLayer | layers.Flatten | tk.TTFSMaxPooling2D)
    ]
    assert len(acting) == 5
    for layer, values in zip(acting, activations(snn, acting, x), strict=True):
        assert [type(p) for p in layer.perturbations] == [tk.WeightQuantization, tk.TimeQuantization], layer.name
        if hasattr(layer, "kernel"):
            for weights in layer.physical_weights((None, *layer.input.shape[1:])):
                assert len(np.unique(np.round(weights, 9))) <= 2**bits, layer.name
        if not isinstance(layer, tk.TTFSReadout):
            steps = values / float(layer.window) * 2**bits
            np.testing.assert_allclose(steps, np.round(steps), atol=1e-9, err_msg=layer.name)


def test_jitter_draws_apart_in_every_layer():
    model = sequential((3,), dense(3, activation="relu"), dense(3, activation="relu"), dense())
    snn = tk.convert(model, images(model), perturbation=tk.SpikeTimeJitter(0.1, seed=0))
    held = [layer.perturbations for layer in snn.layers if hasattr(layer, "perturbations")]
    assert len(held) == 4 and len({item.owner for (item,) in held}) == 4
    assert not np.array_equal(outputs(snn, images(model)), outputs(snn, images(model)))


@pytest.mark.parametrize(
    ("head", "spelling"),
    [
        ("softmax", "within"), ("softmax", "activation"), ("softmax", "layer"), ("sigmoid", "within"),
        ("sigmoid", "activation"),
    ],
)  # fmt: skip
def test_heads_stay_digital(head, spelling):
    step = {"within": (), "activation": ((layers.Activation, {"activation": head}),), "layer": ((layers.Softmax, {}),)}
    readout = dense(4, activation=head if spelling == "within" else None)
    model = sequential((3, 3, 1), conv(padding="same"), norm(), FLATTEN, readout, *step[spelling])
    x = images(model)
    snn = tk.convert(model, x)
    assert isinstance(snn.layers[-2], tk.TTFSReadout) and snn.layers[-2].name == "dense_3"
    assert error(model, snn, x) <= TOLERANCE["float64"]
    if head == "softmax":
        np.testing.assert_allclose(outputs(snn, x).sum(-1), 1)


def test_every_offending_operation_is_listed():
    inputs = keras.Input((6, 6, 4), name="image")
    x = layers.Conv2D(4, 3, name="fine", activation="relu")(inputs)
    x = layers.LayerNormalization(name="norm")(x)
    x = layers.Conv2D(4, 1, name="hyperbolic", activation="tanh")(x)
    x = layers.UpSampling2D(name="smooth", interpolation="bilinear")(x)
    gate = layers.Dense(4, activation="sigmoid", name="gate")(layers.GlobalAveragePooling2D(name="mean")(x))
    x = layers.Multiply(name="excite")([x, gate])
    x = layers.Reshape((64, 4), name="tokens")(x)
    x = layers.MultiHeadAttention(2, 2, name="attention")(x, x)
    x = layers.Dense(3, activation="gelu", name="smooth_relu")(layers.Flatten(name="flat")(x))
    model = keras.Model(inputs, layers.Dense(2, name="end")(x))
    with pytest.raises(tk.ConversionError) as caught:
        tk.convert(model, images(model))
    listed = dict(line.split(": ", 1) for line in str(caught.value).splitlines()[1:])
    assert {name for names in listed for name in names.strip().split(", ")} == {
        "norm (LayerNormalization)", "hyperbolic (Conv2D)", "gate (Dense)",
        "excite (Multiply)", "attention (MultiHeadAttention)", "smooth_relu (Dense)",
    }  # fmt: skip
    assert all("; remedy: " in reason for reason in listed.values())


def test_gate_in_the_middle_is_refused():
    inputs = keras.Input((4, 4, 3))
    gate = layers.Conv2D(3, 1, activation="sigmoid", name="gate")(inputs)
    x = layers.Conv2D(2, 1, name="behind")(gate)
    with pytest.raises(tk.ConversionError, match=r"gate \(Conv2D\): its activation sigmoid .* does not end the model"):
        tk.convert(keras.Model(inputs, x), np.zeros((2, 4, 4, 3)))


def test_a_rule_that_is_not_exact_is_found_out(monkeypatch):
    monkeypatch.setattr(registry, "_RULES", dict(registry._RULES))
    tk.register_converter(layers.Rescaling)(map_identity)
    model = sequential((4, 4, 1), conv(padding="same"), (layers.Rescaling, {"scale": 3.0}), FLATTEN, dense())
    x = images(model)
    with pytest.raises(tk.ConversionError, match=r"(?s)not exact on the calibration data.*conv2d_0"):
        tk.convert(model, x)
    assert error(model, tk.convert(model, x, verification=False), x) > 0.01


def test_layers_that_other_models_call_too():
    model = small()
    x = images(model)
    other = keras.Sequential(
        [keras.Input(model.input_shape[1:], dtype="float64"), *model.layers[:-1], layers.Dense(2, dtype="float64")]
    )
    assert error(other, tk.convert(other, x), x) <= TOLERANCE["float64"]
    assert error(model, tk.convert(model, x), x) <= TOLERANCE["float64"]


def test_products_of_values_in_the_middle_are_refused():
    inputs = keras.Input((4,))
    hidden = layers.Dense(3)(inputs)
    model = keras.Model(inputs, layers.Dense(2)(hidden * hidden))
    with pytest.raises(tk.ConversionError, match=r"\(Multiply\): it multiplies or divides by values of the model"):
        tk.convert(model, images(model))


def test_operations_without_a_batch_are_refused_not_stumbled_over():
    inputs = keras.Input((4,))
    hidden = layers.Dense(3, activation="relu")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="end")(hidden / keras.ops.max(hidden)))
    with pytest.raises(tk.ConversionError, match=r"(?s)\(Max\).*\(.*[dD]iv.*\)"):
        tk.convert(model, images(model))


@pytest.mark.parametrize("model", [keras.Sequential([layers.Dense(2)]), "model.keras"])
def test_what_is_no_built_model(model):
    with pytest.raises(
        tk.ConversionError, match=r"expected a built Sequential or Functional keras\.Model\. Received: "
    ):
        tk.convert(model, np.zeros((4, 3)))


def test_all_broken_weights_are_named():
    model = small()
    model.layers[0].kernel.assign(np.full(model.layers[0].kernel.shape, np.nan))
    model.layers[1].moving_variance.assign(np.full(4, np.inf))
    with pytest.raises(tk.ConversionError, match=r"conv2d_0/kernel.*batchnormalization_1/moving_variance"):
        tk.convert(model, images(model))


def test_layer_named_like_the_encoder():
    model = sequential((3,), dense(4, activation="relu", name="encoder"), dense())
    x = images(model)
    assert error(model, tk.convert(model, x), x) <= TOLERANCE["float64"]


def test_calibration_with_bytes():
    model = small(dtype="float32")
    x = images(model, (0, 255)).astype("uint8")
    snn = tk.convert(model, x, (0, 255))
    assert error(model, snn, x.astype("float32")) <= TOLERANCE["float32"]


def test_calibration_from_a_dataset():
    model = small()
    x = images(model)
    data = tf.data.Dataset.from_tensor_slices((x, np.arange(len(x)))).batch(4)
    for one, other in zip(tk.convert(model, data).get_weights(), tk.convert(model, x).get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def graph():
    """Two inputs and outputs, a residual block with two rails, a clip, a shared layer and a nested model."""

    def apply(kind, x, **arguments):
        return kind(dtype="float64", **arguments)(x)

    inputs = [keras.Input((4, 5, 2), dtype="float64", name=name) for name in ("left", "right")]
    shared = layers.Conv2D(3, 3, padding="same", dtype="float64")
    left, right = (apply(layers.BatchNormalization, shared(x)) for x in inputs)
    x = apply(layers.LeakyReLU, apply(layers.Add, [left, right]), name="leaky")
    inner = keras.Sequential([keras.Input((4, 5, 3), dtype="float64"), layers.Dense(3, "relu6", dtype="float64")])
    x = apply(layers.Concatenate, [inner(x), apply(layers.MaxPooling2D, x, pool_size=3, strides=1, padding="same")])
    logits = apply(layers.Dense, apply(layers.GlobalAveragePooling2D, x), units=3)
    return randomize(keras.Model(inputs, [logits, x]))


def test_converted_graph_is_saved_exported_and_fine_tuned(tmp_path):
    model = graph()
    x = images(model, samples=8)
    snn = tk.convert(model, x)
    assert error(model, snn, x) <= TOLERANCE["float64"]
    snn.save(tmp_path / "snn.keras")
    loaded = keras.models.load_model(tmp_path / "snn.keras")
    np.testing.assert_array_equal(outputs(loaded, x), outputs(snn, x))
    assert tk.verify(loaded, model, x, tolerance=TOLERANCE["float64"]).passed
    snn.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    served = exported.serve([tf.constant(part) for part in x])
    for one, other in zip(keras.tree.flatten(served), snn(x), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    snn.compile(keras.optimizers.SGD(1e-3), loss=["mse", "mse"])
    targets = [np.zeros((8, *tensor.shape[1:])) for tensor in snn.outputs]
    losses = snn.fit(x, targets, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("samples", [0, 1, 3])
def test_batches_of_any_size(samples):
    model = small()
    snn = tk.convert(model, images(model))
    assert snn(images(model, samples=samples)).shape == (samples, 4)


def tiny(factor):
    """Return a model whose hidden activations are a factor times their usual size, and inputs."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((20,)), layers.Dense(30, "relu", name="small"), layers.Dense(3)])
    model.layers[0].kernel.assign(factor * model.layers[0].kernel)
    return model, np.random.default_rng(0).uniform(size=(50, 20))


@pytest.mark.parametrize("windows", ["layer", "shared"])
def test_windows_too_narrow_for_the_time_axis_are_refused(windows):
    model, x = tiny(1e-20)
    with pytest.raises(tk.ConversionError, match="at least 65536 float64 times") as error:
        tk.convert(model, x, windows=windows)
    assert "\n  small: " in str(error.value) and "windows='unit'" in str(error.value)
    snn = tk.convert(model, x, windows="unit")
    for times in tk.spike_times(snn, x)["small"], tk.simulate(snn, x).spike_times["small"]:
        assert len(np.unique(times[np.isfinite(times)])) == np.isfinite(times).sum() > 500


def test_the_narrowest_window_that_is_taken():
    """It holds 2**16 of the float64 numbers at its end, which lies between 1 and 2."""
    least = 2**16 * np.spacing(1.0)
    model, x = tiny(1.0)
    largest = tk.ttfs.schedule(tk.convert(model, x))["small"]
    factor = least / (largest.end - largest.start)
    snn = tk.convert(tiny(1.01 * factor)[0], x)
    times = tk.spike_times(snn, x)["small"]
    assert len(np.unique(times[np.isfinite(times)])) > 0.9 * np.isfinite(times).sum()
    with pytest.raises(tk.ConversionError, match="small: "):
        tk.convert(tiny(0.99 * factor)[0], x)
