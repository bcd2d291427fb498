import pytest
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import FLATTEN, RELU, TOLERANCE, conv, dense, error, images, norm, sequential

DROPOUT = (layers.Dropout, {"rate": 0.9})


def test_flatten_repeats_scale_and_offset_for_every_position():
    model = sequential((3, 2, 2), conv(3, kernel_size=1), norm(), FLATTEN, norm(), dense(5, activation="relu"), dense())
    x = images(model, (-1, 2))
    snn = tk.convert(model, x, (-1, 2))
    assert error(model, snn, x) <= TOLERANCE["float64"]
    assert isinstance(snn.get_layer("flatten_2"), layers.Flatten)


@pytest.mark.parametrize("place", range(5))
def test_dropout_disappears(place):
    stack = [conv(activation=None), RELU, norm(), FLATTEN, dense()]
    stack.insert(place, DROPOUT)
    model = sequential((4, 4, 1), *stack, DROPOUT)
    x = images(model)
    snn = tk.convert(model, x)
    assert error(model, snn, x) <= TOLERANCE["float64"]
    assert not any(isinstance(layer, layers.Dropout) for layer in snn.layers)


def test_flatten_before_the_relu_is_refused():
    model = sequential((4, 4, 1), conv(activation=None), (layers.Flatten, {"name": "early"}), RELU, dense())
    with pytest.raises(
        tk.ConversionError, match=r"early \(Flatten\): it flattens values that have not fired"
    ) as caught:
        tk.convert(model, images(model))
    assert len(str(caught.value).splitlines()) == 2, "what follows it is at no fault"
