import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import (
    FLATTEN,
    RELU,
    TOLERANCE,
    activations,
    conv,
    dense,
    error,
    images,
    norm,
    pool,
    sequential,
)


def gammas(model, values):
    next(layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)).gamma.assign(values)
    return model


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("pool_size", "strides"), [(2, None), (3, 1), ((1, 2), (2, 1)), (2, 3)])
@pytest.mark.parametrize("values", [(1, -1, 0, 2), (-1, -2, -1, -3), (0, 0, 0, 0), (1, 2, 3, 4)])
def test_scales_of_any_sign_pass_the_pool(values, pool_size, strides, padding):
    stack = (
        conv(),
        norm(),
        pool(pool_size=pool_size, strides=strides, padding=padding),
        conv(kernel_size=2, padding="same"),
    )
    model = gammas(sequential((7, 8, 1), *stack, FLATTEN, dense()), values)
    x = images(model, (-1, 2))
    snn = tk.convert(model, x, (-1, 2))
    assert error(model, snn, x) <= TOLERANCE["float64"]
    emitted = next(layer for layer in snn.layers if isinstance(layer, tk.TTFSMaxPooling2D))
    assert emitted.name == "maxpooling2d_2" and emitted.signed == (min(values) < 0)
    if emitted.signed:
        np.testing.assert_array_equal(emitted.sign, np.where(np.array(values) < 0, -1, 1))


def test_pools_and_norms_in_a_row():
    model = sequential((9, 9, 2), pool(), norm(), pool(strides=1), norm(), conv(kernel_size=2), FLATTEN, dense())
    x = images(model, (-3, 3))
    assert error(model, tk.convert(model, x, (-3, 3)), x) <= TOLERANCE["float64"]


def test_pool_passes_lead_times_on():
    model = sequential((4, 4, 1), conv(padding="same"), pool(), FLATTEN, dense())
    x = images(model)
    snn = tk.convert(model, x)
    (expected,) = activations(model, model.layers[1:2], x)
    (pooled,) = activations(snn, [snn.get_layer("maxpooling2d_1")], x)
    np.testing.assert_allclose(pooled, expected, atol=TOLERANCE["float64"])


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("MaxPooling1D", "float64"), ("GlobalMaxPooling1D", "float64"), ("GlobalMaxPooling2D", "float64"),
        ("MaxPooling3D", "float32"), ("GlobalMaxPooling3D", "float64"), ("AveragePooling1D", "float64"),
        ("AveragePooling2D", "float64"), ("AveragePooling3D", "float32"), ("GlobalAveragePooling1D", "float64"),
        ("GlobalAveragePooling2D", "float64"), ("GlobalAveragePooling3D", "float64"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("activation", ["relu", None])
def test_every_pool_before_and_behind_the_relu(kind, dtype, activation):
    rank = int(kind[-2])
    convolution = getattr(layers, f"Conv{rank}D"), {"filters": 4, "kernel_size": 2, "activation": activation}
    arguments = {} if "Global" in kind else {"pool_size": 2, "strides": 1, "padding": "same"}
    end = RELU if activation is None else dense(5, activation="relu")
    stack = convolution, norm(), (getattr(layers, kind), arguments), end, FLATTEN, dense()
    model = gammas(sequential((3,) * rank + (2,), *stack, dtype=dtype), (1, -1, 0, 2))
    x = images(model, (-1, 2))
    snn = tk.convert(model, x, (-1, 2))
    assert error(model, snn, x) <= TOLERANCE[dtype]


@pytest.mark.parametrize("kind", [layers.MaxPooling2D, layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D])
def test_channels_may_come_first(kind):
    """A convolution's last axis is then pooled as part of the image."""
    first = (kind, {"data_format": "channels_first", "name": "first"})
    model = sequential((6, 6, 1), conv(), first, FLATTEN, dense(), dtype="float64")
    assert error(model, tk.convert(model, images(model)), images(model)) <= TOLERANCE["float64"]
