import keras
import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import RELU, TOLERANCE, dense, error, images, randomize, sequential, spiking

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
    assert [type(layer) for layer in within.layers] == [type(layer) for layer in apart.layers]
    assert {layer.name for layer in spiking(apart)} <= {layer.name for layer in twins[1].layers}
    for one, other in zip(within.get_weights(), apart.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert error(twins[1], apart, x) <= TOLERANCE["float64"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_value": 6},
        {"threshold": 0.3},
        {"threshold": 0.3, "max_value": 2},
        {"negative_slope": 0.25},
        {"max_value": 0.01},
    ],
)
def test_relus_with_arguments(arguments):
    model = sequential((4,), dense(9), (layers.ReLU, arguments), dense(5, activation="relu"), dense())
    x = images(model, (-3, 3), samples=50)
    for windows in ("layer", "shared", "unit"):
        assert error(model, tk.convert(model, x, (-3, 3), windows=windows), x) <= TOLERANCE["float64"], windows


@pytest.mark.parametrize("function", ["relu", "relu6", "leaky_relu"])
@pytest.mark.parametrize("spelling", ["name", "layer", "ops"])
def test_functions_in_all_spellings(function, spelling):
    inputs = keras.Input((4,), dtype="float64")
    x = layers.Dense(9, activation=function if spelling == "name" else None, dtype="float64")(inputs)
    if spelling == "layer":
        x = layers.Activation(function, dtype="float64")(x)
    elif spelling == "ops":
        x = getattr(keras.ops, function)(x)
    model = randomize(keras.Model(inputs, layers.Dense(3, dtype="float64")(x)))
    x = images(model, (-3, 3))
    assert error(model, tk.convert(model, x, (-3, 3)), x) <= TOLERANCE["float64"]


@pytest.mark.parametrize("activation", [layers.ReLU(6.0), layers.LeakyReLU(0.25), layers.ReLU()])
def test_layers_given_as_activations(activation):
    activation.dtype_policy = keras.DTypePolicy("float64")
    model = sequential((4,), dense(9, activation=activation), dense())
    x = images(model, (-3, 3))
    assert error(model, tk.convert(model, x, (-3, 3)), x) <= TOLERANCE["float64"]


def test_signed_values_travel_on_two_rails_and_the_network_says_so():
    model = sequential((4,), dense(9, name="hidden"), (layers.LeakyReLU, {"name": "leaky"}), dense())
    snn = tk.convert(model, images(model))
    assert sorted(layer.name for layer in spiking(snn)) == ["leaky_negative", "leaky_positive"]


def test_relu_of_what_has_fired_already():
    model = sequential((4,), dense(5, activation="relu"), RELU, dense())
    x = images(model)
    assert error(model, tk.convert(model, x), x) <= TOLERANCE["float64"]


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        ((dense(), (layers.ReLU, {"max_value": 0, "name": "none"})), r"none \(ReLU\): max_value=0"),
        ((dense(), (layers.ReLU, {"threshold": 2, "max_value": 1, "name": "step"})), r"step \(ReLU\): threshold=2"),
        ((dense(), (layers.Activation, {"activation": "tanh", "name": "bent"})), r"bent \(Activation\): .*tanh"),
        (
            (dense(), (layers.Softmax, {"name": "early"}), (layers.ReLU, {})),
            r"early \(Softmax\): no exact TTFS counterpart is known, and it does not end the model",
        ),
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
