import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import FLATTEN, RELU, TOLERANCE, conv, dense, error, images, norm, sequential
from ttfs_keras.conversion.batch_norm import affine


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_affine_is_the_layer_in_inference(scale, center):
    model = sequential((4,), norm(scale=scale, center=center, epsilon=0.1))
    x = images(model, (-3, 3))
    k, c = affine(model.layers[0])
    np.testing.assert_allclose(k * x + c, model(x), atol=TOLERANCE["float64"])


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


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        ((conv(), norm(axis=1, name="rows"), FLATTEN, dense()), r"rows \(BatchNormalization\): it normalizes axis 1"),
        (
            (FLATTEN, dense(activation="softmax"), norm(name="late")),
            r"late \(BatchNormalization\): .*behind the read-out",
        ),
    ],
)
def test_refused(stack, message):
    model = sequential((5, 5, 1), *stack)
    with pytest.raises(tk.ConversionError, match=message):
        tk.convert(model, images(model))
