import keras
import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import FLATTEN, conv, dense, images, sequential
from ttfs_keras.conversion.network import Network
from ttfs_keras.conversion.registry import Refusal
from ttfs_keras.conversion.values import Potential, Spikes


def spikes(shape, scale, offset):
    return Spikes(keras.Input(shape, dtype="float64"), np.array(scale), np.array(offset))


def test_fired_weights_hold_scale_and_offset():
    source = layers.Dense(2, name="source", dtype="float64")
    kernel, bias = np.arange(6.0).reshape(3, 2), np.array([1.0, -1.0])
    scale, offset = [1.0, -2.0, 0.0], [0.5, 0.0, 3.0]
    network = Network()
    network.output = "activations"
    fired = network.fire(Potential(source, spikes((3,), scale, offset), kernel, bias))
    ((layer, tensor),) = network.neurons
    assert layer.name == "source" and tensor == "activations"
    np.testing.assert_allclose(layer.kernel, kernel * np.array(scale)[:, None])
    np.testing.assert_allclose(layer.bias, bias + offset @ kernel)
    np.testing.assert_array_equal(fired.scale, [1, 1])
    np.testing.assert_array_equal(fired.offset, [0, 0])


@pytest.mark.parametrize(("padding", "tied"), [("same", True), ("valid", False)])
def test_offset_under_padding_stays_apart(padding, tied):
    source = layers.Conv2D(2, 2, padding=padding, name="source", dtype="float64")
    kernel, scale, offset = np.ones((2, 2, 1, 2)), [2.0], [3.0]
    network = Network()
    network.fire(Potential(source, spikes((4, 4, 1), scale, offset), kernel, np.zeros(2)))
    ((layer, _),) = network.neurons
    assert (layer.input_affine is not None) == tied
    np.testing.assert_allclose(layer.kernel, kernel if tied else 2 * kernel)
    np.testing.assert_allclose(layer.bias, [0, 0] if tied else [12, 12])
    if tied:
        np.testing.assert_array_equal(layer.input_affine.scale, scale)
        np.testing.assert_array_equal(layer.input_affine.offset, offset)


def test_read_out_of_a_convolution_is_refused():
    model = sequential((4, 4, 1), conv(name="end", activation=None))
    with pytest.raises(tk.ConversionError, match=r"end \(Conv2D\): the output is a convolution without ReLU"):
        tk.convert(model, images(model))


def test_firing_needs_a_potential():
    with pytest.raises(Refusal, match="does not come from"):
        Network().fire(spikes((3,), [1.0] * 3, [0.0] * 3))


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
