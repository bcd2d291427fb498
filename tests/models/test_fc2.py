import keras
import numpy as np
import pytest
from keras import layers

from ttfs_keras.models.fc2 import fc2


def test_paper_network():
    model = fc2((28, 28, 1), 10)
    assert model.count_params() == 784 * 340 + 340 + 340 * 10 + 10
    assert [layer.name for layer in model.layers] == ["image", "flatten", "dense_1", "readout"]
    assert model.input_shape == (None, 28, 28, 1) and model.output_shape == (None, 10)
    assert model.get_layer("dense_1").activation is keras.activations.relu
    assert model.get_layer("readout").activation is keras.activations.linear


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(("units", "depth"), [(7, 1), (7, 2), (5, 8)])
def test_width_and_depth(units, depth, batch_norm):
    model = fc2((4, 3, 2), 6, units, depth, batch_norm)
    dense = [layer for layer in model.layers if isinstance(layer, layers.Dense)]
    assert [layer.units for layer in dense] == [units] * (depth - 1) + [6]
    kinds = [type(layer) for layer in model.layers[2:-1]]
    assert kinds == ([layers.Dense, layers.BatchNormalization] if batch_norm else [layers.Dense]) * (depth - 1)
    assert model(np.zeros((2, 4, 3, 2), "float32")).shape == (2, 6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_everywhere(dtype):
    model = fc2((4, 4, 1), 3, batch_norm=True, dtype=dtype)
    assert {v.dtype for v in model.variables} == {layer.compute_dtype for layer in model.layers[1:]} == {dtype}
    assert model.inputs[0].dtype == model.outputs[0].dtype == dtype
