import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import RELU, TOLERANCE, dense, error, images, sequential

ACTIVATION = (layers.Activation, {"activation": "relu"})
LINEAR = (layers.Activation, {"activation": "linear"})


@pytest.mark.parametrize("spelling", [(RELU,), (ACTIVATION,), (LINEAR, RELU), (ACTIVATION, LINEAR)])
def test_spellings_give_the_same_network(spelling):
    twins = [
        sequential((4,), *hidden, dense(name="end"))
        for hidden in ((dense(5, activation="relu", name="hidden"),), (dense(5, name="hidden"), *spelling))
    ]
    x = images(twins[0])
    within, apart = (tk.convert(twin, x) for twin in twins)
    assert [layer.name for layer in within.layers][1:] == [layer.name for layer in apart.layers][1:]
    for one, other in zip(within.get_weights(), apart.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert error(twins[1], apart, x) <= TOLERANCE["float64"]


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        ((dense(), (layers.ReLU, {"max_value": 6, "name": "six"})), r"six \(ReLU\): it is not a plain ReLU"),
        ((dense(), (layers.ReLU, {"negative_slope": 0.1, "name": "leaky"})), r"leaky \(ReLU\)"),
        ((dense(), (layers.ReLU, {"threshold": 1.0, "name": "late"})), r"late \(ReLU\)"),
        ((dense(activation="relu"), (layers.ReLU, {"name": "again"})), r"again \(ReLU\): its input does not come from"),
        ((dense(), (layers.Activation, {"activation": "tanh", "name": "bent"})), r"bent \(Activation\): .*tanh"),
        ((dense(activation="relu"), (layers.Softmax, {"name": "soft"})), r"soft \(Softmax\)"),
    ],
)
def test_refused(stack, message):
    model = sequential((4,), *stack, dense())
    with pytest.raises(tk.ConversionError, match=f"{message}.*; remedy: "):
        tk.convert(model, images(model))


@pytest.mark.parametrize("axis", [-1, 1])
def test_softmax_keeps_its_arguments(axis):
    model = sequential((3, 2, 1), dense(3, activation="relu"), dense(4), (layers.Softmax, {"axis": axis}))
    x = images(model)
    snn = tk.convert(model, x)
    assert snn.layers[-1].get_config() == model.layers[-1].get_config()
    assert error(model, snn, x) <= TOLERANCE["float64"]
