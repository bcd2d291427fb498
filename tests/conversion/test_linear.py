import functools

import keras
import pytest
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import FLATTEN, TOLERANCE, conv, dense, error, images, norm, sequential


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(
    "hidden",
    [
        conv(kernel_size=(2, 3), strides=(1, 2)),
        conv(kernel_size=(3, 1), dilation_rate=(1, 2), padding="same"),
        conv(6, kernel_size=2, groups=2, padding="same"),
        dense(5, activation="relu"),
    ],
    ids=["strided", "dilated", "grouped", "dense on every pixel"],
)
def test_exact_behind_scale_and_offset(hidden, use_bias):
    kind, arguments = hidden
    model = sequential(
        (5, 4, 2), norm(), (kind, arguments | {"use_bias": use_bias}), norm(), FLATTEN, dense(use_bias=use_bias)
    )
    x = images(model, (-3, 3))
    assert error(model, tk.convert(model, x, (-3, 3)), x) <= TOLERANCE["float64"]


def test_linear_read_out_directly_behind_relu_gives_the_same_logits():
    model = sequential((4,), dense(8, activation="relu"), dense(3, activation="linear"))
    x = images(model)
    snn = tk.convert(model, x)
    assert type(snn.layers[-1]) is tk.TTFSReadout
    assert error(model, snn, x) <= TOLERANCE["float64"]


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        ((dense(), dense(name="second")), r"second \(Dense\): its input carries signed values"),
        ((dense(activation="softmax"), dense(name="second")), r"second \(Dense\): its input carries signed values"),
        ((dense(activation="gelu", name="bent"), dense()), r"bent \(Dense\): .*gelu"),
        ((dense(activation=keras.ops.relu, name="other"), dense()), r"other \(Dense\): .*relu"),
        ((dense(activation=layers.ReLU(), name="held"), dense()), r"held \(Dense\): .*ReLU"),
        ((dense(activation=functools.partial(keras.ops.relu), name="half"), dense()), r"half \(Dense\): .*partial"),
    ],
)
def test_refused(stack, message):
    model = sequential((4,), *stack)
    with pytest.raises(tk.ConversionError, match=f"{message}.*; remedy: "):
        tk.convert(model, images(model))


@pytest.mark.parametrize("arguments", [{"data_format": "channels_first"}, {"activation": "tanh"}])
def test_convolutions_refused(arguments):
    model = sequential((6, 6, 4), conv(name="odd", **arguments), FLATTEN, dense())
    with pytest.raises(tk.ConversionError, match=r"odd \(Conv2D\)"):
        tk.convert(model, images(model))


@pytest.mark.parametrize("kind", [layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Conv2DTranspose])
def test_other_convolutions_are_not_taken_for_conv2d(kind):
    arguments = {"kernel_size": 3, "name": "other"} | ({} if kind is layers.DepthwiseConv2D else {"filters": 2})
    model = keras.Sequential([keras.Input((6, 6, 2)), kind(**arguments), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(tk.ConversionError, match=rf"other \({kind.__name__}\)"):
        tk.convert(model, images(model))
