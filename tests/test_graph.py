import keras
import pytest

from ttfs_keras.graph import as_functional, calls


def names(model):
    return [call.operation.name for call in calls(as_functional(model))]


def test_raw_operations_and_their_order():
    x = keras.Input((3,), name="image")
    hidden = keras.layers.Dense(2, name="hidden")(x)
    model = keras.Model(x, keras.ops.relu(hidden) + hidden)
    found = calls(model)
    assert [type(call.operation).__name__ for call in found] == ["Dense", "Relu", "Add"]
    assert found[0].inputs == [x] and found[2].inputs[1] is hidden and found[2].outputs == model.outputs


def test_the_calls_of_this_model_alone():
    shared = keras.layers.Dense(3, name="shared")
    first, second = keras.Input((3,)), keras.Input((3,))
    keras.Model(first, shared(first))
    model = keras.Model(second, shared(second))
    (call,) = calls(model)
    assert call.inputs == [second] and call.outputs == model.outputs


@pytest.mark.parametrize("added", [False, True])
def test_sequential_models(added):
    layers = [keras.Input((3,)), keras.layers.Dense(2, name="a"), keras.layers.Dense(2, name="b")]
    model = keras.Sequential() if added else keras.Sequential(layers)
    for layer in layers if added else ():
        model.add(layer)
    assert names(model) == ["a", "b"]


def test_models_without_a_graph():
    with pytest.raises(ValueError, match="Expected a Functional model or a Sequential model that is built"):
        as_functional(keras.Sequential([keras.layers.Dense(2)]))
