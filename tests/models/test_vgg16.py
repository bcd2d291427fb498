import keras
import numpy as np
import pytest
from keras import layers

from ttfs_keras.models import vgg16 as module
from ttfs_keras.models.vgg16 import vgg16

# Image, classes, channels of the convolutions, hidden dense layers, positions left for Flatten.
VARIANTS = {
    "MNIST": ((28, 28, 1), 10, [64, 64, 128, 128] + [256] * 3 + [512] * 6, [512, 512], 1),
    "CIFAR10": ((32, 32, 3), 10, [64, 64, 128, 128] + [256] * 3 + [512] * 6, [512], 1),
    "CIFAR100": ((32, 32, 3), 100, [64, 64, 128, 128] + [256] * 3 + [512] * 6, [512], 1),
}


def of_type(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


@pytest.fixture
def narrow(monkeypatch):
    """The architecture with few channels."""
    for name in ("MNIST", "CIFAR"):
        blocks, hidden = getattr(module, name)
        thin = tuple(tuple(width // 64 for width in block) for block in blocks), tuple(width // 64 for width in hidden)
        monkeypatch.setattr(module, name, thin)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_layers_and_parameters(variant, batch_norm):
    shape, classes, channels, hidden, positions = VARIANTS[variant]
    model = vgg16(shape, classes, batch_norm)
    convolutions, dense = of_type(model, layers.Conv2D), of_type(model, layers.Dense)
    assert [layer.filters for layer in convolutions] == channels
    assert all(layer.kernel_size == (3, 3) and layer.padding == "same" for layer in convolutions)
    assert [layer.units for layer in dense] == [*hidden, classes]
    assert len(of_type(model, layers.MaxPooling2D)) == (4 if variant == "MNIST" else 5)
    assert model.output_shape == (None, classes)

    expected, fan_in = 0, shape[-1]
    for width in channels:
        expected, fan_in = expected + (9 * fan_in + 1) * width, width
    fan_in *= positions
    for width in (*hidden, classes):
        expected, fan_in = expected + (fan_in + 1) * width, width
    norms = of_type(model, layers.BatchNormalization)
    assert len(norms) == (len(channels) + len(hidden) if batch_norm else 0)
    assert model.count_params() == expected + 4 * batch_norm * (sum(channels) + sum(hidden))


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3)])
def test_batch_norm_follows_each_relu(narrow, shape):
    model = vgg16(shape, 10, batch_norm=True)
    *hidden, readout = (layer for layer in model.layers if isinstance(layer, layers.Conv2D | layers.Dense))
    for layer in hidden:
        follower = model.layers[model.layers.index(layer) + 1]
        assert isinstance(follower, layers.BatchNormalization), layer.name
        assert follower.name == (f"norm_{layer.name}" if "dense" in layer.name else layer.name.replace("conv", "norm"))
        assert layer.activation is keras.activations.relu
        assert layer.kernel_regularizer is None
        assert isinstance(layer.kernel_initializer, keras.initializers.GlorotUniform)
    assert readout.name == "readout" and readout.activation is keras.activations.linear
    assert readout.kernel_regularizer is None and readout is model.layers[-1]


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3)])
def test_without_batch_norm_he_and_weight_decay(narrow, shape):
    model = vgg16(shape, 10)
    *hidden, readout = (layer for layer in model.layers if hasattr(layer, "kernel"))
    for layer in (*hidden, readout):
        assert layer.kernel_regularizer.l2 == pytest.approx(5e-4), layer.name
        assert layer.bias_regularizer is None
    assert all(isinstance(layer.kernel_initializer, keras.initializers.HeUniform) for layer in hidden)
    assert isinstance(readout.kernel_initializer, keras.initializers.GlorotUniform)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_names_tell_block_and_place(narrow, batch_norm):
    names = [layer.name for layer in vgg16((32, 32, 3), 10, batch_norm).layers]
    assert names[:2] == ["image", "conv_1_1"] and names[-1] == "readout"
    assert {"conv_5_3", "pool_5", "flatten", "dense_1"} <= set(names) and "dense_2" not in names


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(16, 16, 1), (28, 28, 1), (32, 32, 3)])
def test_dtype_everywhere(narrow, shape, dtype):
    model = vgg16(shape, 10, batch_norm=True, dtype=dtype)
    assert {v.dtype for v in model.variables} == {layer.compute_dtype for layer in model.layers[1:]} == {dtype}
    assert model(np.zeros((1, *shape), dtype)).dtype == dtype
