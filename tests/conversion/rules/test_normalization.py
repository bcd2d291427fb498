import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import FLATTEN, RELU, TOLERANCE, conv, dense, error, images, norm, sequential

PLACES = {
    "before ReLU": [conv(activation=None, padding="same"), norm(), RELU],
    "after ReLU": [conv(padding="same"), norm()],
    "before and after": [conv(activation=None, padding="same"), norm(), RELU, norm()],
    "twice": [conv(padding="same"), norm(), norm(scale=False)],
    "behind the input": [norm(), conv(padding="same")],
    "before the read-out only": [],
}


@pytest.mark.parametrize("place", PLACES)
def test_every_place_is_exact(place):
    model = sequential((4, 5, 2), *PLACES[place], conv(groups=2, padding="same"), norm(), FLATTEN, norm(), dense())
    x = images(model, (-1, 2))
    snn = tk.convert(model, x, (-1, 2))
    assert error(model, snn, x) <= TOLERANCE["float64"]
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in snn.layers)


def test_norm_of_the_logits():
    model = sequential((4,), dense(6, activation="relu"), dense(), norm())
    x = images(model)
    assert error(model, tk.convert(model, x), x) <= TOLERANCE["float64"]


def test_border_needs_a_map_only_where_padding_meets_an_offset():
    model = sequential(
        (6, 6, 1), conv(), norm(), conv(padding="same"), conv(padding="same"), norm(center=False), FLATTEN, dense()
    )
    model.layers[4].moving_mean.assign(np.zeros(4))
    x = images(model)
    snn = tk.convert(model, x)
    maps = [layer.input_affine is not None for layer in snn.layers if isinstance(layer, tk.TTFSConv2D)]
    assert maps == [False, True, False]
    assert error(model, snn, x) <= TOLERANCE["float64"]


RESCALINGS = {
    "numbers": (layers.Rescaling, {"scale": 1 / 127.5, "offset": -1}),
    "channels": (layers.Rescaling, {"scale": [0.3, -1.2], "offset": [0.1, 0.7]}),
    "positions": (layers.Rescaling, {"scale": np.linspace(-1, 1, 5).reshape(5, 1), "offset": 0.1}),
    "normalization": (layers.Normalization, {"mean": [0.3, -0.4], "variance": [2.0, 0.3]}),
    "inverse": (layers.Normalization, {"mean": [0.3, -0.4], "variance": [2.0, 0.3], "invert": True}),
    "one number": (layers.Normalization, {"mean": 0.3, "variance": 2.0, "axis": None}),
}


@pytest.mark.parametrize("place", ["input", "hidden", "linear", "output"])
@pytest.mark.parametrize("kind", RESCALINGS)
def test_fixed_scales_fold_anywhere(kind, place):
    step = RESCALINGS[kind]
    stack = [conv(2, padding="same"), conv(2, padding="same", activation=None), dense(2)]
    stack.insert({"input": 0, "hidden": 1, "linear": 2, "output": 3}[place], step)
    model = sequential((4, 5, 2), *stack)
    x = images(model, (-1, 2))
    assert error(model, tk.convert(model, x, (-1, 2)), x) <= TOLERANCE["float64"]


@pytest.mark.parametrize("axis", [1, 2, -2])
def test_a_norm_of_another_axis_is_exact(axis):
    model = sequential((4, 5, 2), conv(padding="same"), norm(axis=axis), conv(padding="same"), FLATTEN, dense())
    x = images(model)
    assert error(model, tk.convert(model, x), x) <= TOLERANCE["float64"]


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        ((FLATTEN, dense(activation="softmax", name="early"), norm()), r"early \(Dense\): its activation softmax"),
    ],
)
def test_refused(stack, message):
    model = sequential((5, 5, 1), *stack)
    with pytest.raises(tk.ConversionError, match=message):
        tk.convert(model, images(model))
