import keras
import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import (
    FLATTEN,
    TOLERANCE,
    conv,
    dense,
    error,
    images,
    norm,
    randomize,
    sequential,
    spiking,
)
from ttfs_keras.conversion.network import Network
from ttfs_keras.conversion.values import Deferred, Emitted
from ttfs_keras.ttfs.windows import GrowToMaximum


def spikes(shape, scale, offset):
    tensor = keras.Input(shape, dtype="float64")
    return Emitted(tensor.shape, np.array(scale), np.array(offset), tensor, spikes=True)


def fired(source, value, kernel, bias):
    shape = source(value.tensor).shape
    source.kernel.assign(kernel)
    source.bias.assign(bias)
    network = Network(GrowToMaximum())
    network.shape = shape
    result = network.fire(Deferred(shape, layer=source, source=value, name="source"), "activations")
    ((neurons),) = network.neurons
    return neurons.layer, result


def test_fired_weights_hold_scale_and_offset():
    kernel, bias = np.arange(6.0).reshape(3, 2), np.array([1.0, -1.0])
    scale, offset = [1.0, -2.0, 0.0], [0.5, 0.0, 3.0]
    layer, result = fired(layers.Dense(2, dtype="float64"), spikes((3,), scale, offset), kernel, bias)
    assert layer.name == "activations"
    np.testing.assert_allclose(layer.kernel, kernel * np.array(scale)[:, None])
    np.testing.assert_allclose(layer.bias, bias + offset @ kernel)
    assert (result.scale == 1).all() and not result.offset.any() and result.spikes


@pytest.mark.parametrize(("padding", "tied"), [("same", True), ("valid", False)])
def test_offset_under_padding_stays_apart(padding, tied):
    source = layers.Conv2D(2, 2, padding=padding, dtype="float64")
    kernel, scale, offset = np.ones((2, 2, 1, 2)), [2.0], [3.0]
    layer, _ = fired(source, spikes((4, 4, 1), scale, offset), kernel, np.zeros(2))
    assert (layer.input_affine is not None) == tied
    np.testing.assert_allclose(layer.kernel, kernel if tied else 2 * kernel)
    np.testing.assert_allclose(layer.bias, [0, 0] if tied else [12, 12])
    if tied:
        np.testing.assert_array_equal(layer.input_affine.scale, scale)
        np.testing.assert_array_equal(layer.input_affine.offset, offset)


def test_outputs_may_be_convolutions_or_spikes():
    for activation in (None, "relu"):
        model = sequential((4, 4, 1), conv(), conv(activation=activation, kernel_size=2), norm())
        x = images(model)
        assert error(model, tk.convert(model, x), x) <= TOLERANCE["float64"]


def test_layers_are_named_after_the_calls_with_the_same_activations():
    inputs = keras.Input((4, 4, 1), dtype="float64")
    x = layers.Conv2D(3, 2, name="inside", activation="relu", dtype="float64")(inputs)
    x = layers.BatchNormalization(name="norm", dtype="float64")(layers.Conv2D(3, 2, name="apart", dtype="float64")(x))
    x = layers.ReLU(name="fires", dtype="float64")(x)
    twice = layers.Dense(3, activation="relu", name="twice", dtype="float64")
    x = twice(twice(x))
    inner = keras.Sequential([layers.Dense(3, "relu", name="deep", dtype="float64")], name="inner")
    model = randomize(keras.Model(inputs, layers.Dense(2, name="end", dtype="float64")(inner(inner(x)))))
    x = images(model)
    snn = tk.convert(model, x)
    names = ["inside", "fires", "twice", "twice_call2", "inner_deep", "inner_call2_deep"]
    assert [layer.name for layer in spiking(snn)] == names
    report = tk.verify(snn, model, x)
    assert [layer.name for layer in report.layers] == names
    assert all(layer.max_abs_error < 1e-12 for layer in report.layers)


def test_regularizers_and_dtype_are_kept():
    decay = {"kernel_regularizer": keras.regularizers.L2(0.1), "bias_regularizer": keras.regularizers.L2(0.2)}
    model = sequential((4, 4, 1), conv(**decay), FLATTEN, dense(4, activation="relu", **decay), dense(**decay))
    snn = tk.convert(model, images(model))
    emitted = [layer for layer in snn.layers if hasattr(layer, "kernel")]
    assert len(emitted) == 3
    for layer in emitted:
        assert [float(r) for r in (layer.kernel_regularizer.l2, layer.bias_regularizer.l2)] == pytest.approx([0.1, 0.2])
        assert layer.compute_dtype == layer.variable_dtype == "float64"
    # Only the first layer's weights changed in the folding, and here not even those: the range is [0, 1].
    np.testing.assert_allclose(float(sum(snn.losses)), float(sum(model.losses)))
