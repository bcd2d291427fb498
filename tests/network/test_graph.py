import keras
import numpy as np
import pytest

from tests.tolerances import FLOAT64
from ttfs_keras.network.graph import as_functional, calls, compiled, evaluate, observed, trace, walk


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


def walked(model):
    """Return the names of all calls, nested ones too."""
    return [name for name, _ in walk(model)]


def nested():
    """Return a model that calls a layer twice, and twice a model that holds another one."""
    layers = keras.layers
    innermost = keras.Sequential([keras.Input((3,)), layers.Dense(3, "tanh", name="deep")], name="innermost")
    middle = keras.Input((3,))
    inner = keras.Model(middle, layers.Add(name="skip")([innermost(middle), middle]), name="inner")
    shared = layers.Dense(3, name="shared")
    inputs = keras.Input((3,), name="image")
    first = inner(shared(inputs))
    second = inner(shared(first))
    return keras.Model(inputs, [layers.Concatenate(name="both")([first, second]), second], name="outer")


def test_names_of_shared_layers_and_of_nested_models_are_the_same_in_every_walk():
    model = nested()
    expected = [
        "shared", "inner", "inner_innermost", "inner_innermost_deep", "inner_skip",
        "shared_call2", "inner_call2", "inner_call2_innermost", "inner_call2_innermost_deep", "inner_call2_skip",
        "both",
    ]  # fmt: skip
    assert walked(model) == walked(model) == expected
    loaded = keras.Model.from_config(model.get_config())
    assert walked(loaded) == expected


def test_trace_gives_the_wanted_tensors_of_calls_at_every_depth():
    model = nested()
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    found = trace(model, [x], walked(model))
    assert set(found) == set(walked(model))
    shared, inner = model.get_layer("shared"), model.get_layer("inner")
    first = inner(shared(x))
    second = inner(shared(first))
    expected = {
        "shared": shared(x), "inner": first, "inner_skip": first, "shared_call2": shared(first), "inner_call2": second,
        "inner_innermost_deep": inner.get_layer("innermost")(shared(x)), "both": np.concatenate([first, second], 1),
        "inner_call2_innermost": inner.get_layer("innermost")(shared(first)),
    }  # fmt: skip
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-6)
    assert set(trace(model, [x], ["both", "nothing"])) == {"both"}


def test_calls_of_every_depth_are_observed_in_a_graph():
    model = nested()
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    deep = observed(model, lambda name, received, produced: received[0] if name.endswith("_deep") else None)
    expected = trace(model, [x], ["shared", "shared_call2"]).values()
    for batch in (4, 3):
        seen, outputs = deep(x[:batch])
        for value, same in zip(seen, expected, strict=True):
            np.testing.assert_allclose(value, same[:batch], rtol=0, atol=1e-6)
        for value, same in zip(outputs, model(x[:batch]), strict=True):
            np.testing.assert_allclose(value, same, rtol=0, atol=1e-6)


def test_trace_passes_constants_and_keywords_on():
    inputs = [keras.Input((3,), dtype="float64"), keras.Input((3,), dtype="float64")]
    outputs = keras.ops.sum(2.0 * inputs[0] - keras.ops.clip(inputs[1], 0, 1), axis=1, keepdims=True)
    model = keras.Model(inputs, outputs)
    x = list(np.random.default_rng(0).normal(size=(2, 4, 3)))
    (found,) = trace(model, x, walked(model)[-1:]).values()
    np.testing.assert_allclose(found, np.sum(2 * x[0] - np.clip(x[1], 0, 1), 1, keepdims=True), rtol=0, atol=FLOAT64)


def several(structure):
    inputs = {name: keras.Input((3,), dtype="float64", name=name) for name in ("b", "a")}
    outputs = 2 * inputs["b"] + inputs["a"]
    if structure == "one of a list":
        return keras.Model([inputs["b"]], 3 * inputs["b"])
    if structure == "sequential":
        return keras.Sequential([keras.Input((3,), dtype="float64"), keras.layers.Rescaling(3.0, dtype="float64")])
    return keras.Model(inputs if structure == "dict" else list(inputs.values()), outputs)


@pytest.mark.parametrize("structure", ["list", "dict", "one of a list", "sequential"])
def test_models_are_evaluated_whatever_the_structure_of_their_inputs(structure):
    """Keras warns, an error here, of inputs in another structure."""
    model = several(structure)
    values = {symbol.name: np.random.default_rng(n).normal(size=(4, 3)) for n, symbol in enumerate(model.inputs)}
    x = list(values.values())
    expected = 2 * values["b"] + values["a"] if len(x) == 2 else 3 * x[0]
    for received in (evaluate(model, x), compiled(model)(*x)):
        assert len(received) == 1 and received[0].dtype == "float64"
        np.testing.assert_allclose(received[0], expected, rtol=0, atol=FLOAT64)


def test_compiled_models_take_any_batch_size_and_give_a_flat_list():
    model = nested()
    evaluated = compiled(model)
    for size in (1, 5):
        x = np.random.default_rng(size).normal(size=(size, 3))  # float64, cast to the model's float32
        both, second = evaluated(x)
        assert both.shape == (size, 6) and second.dtype == "float32"
        np.testing.assert_allclose(both, model(x)[0], rtol=0, atol=1e-6)
    with pytest.raises(ValueError):
        evaluated(x, x)


def test_compiled_models_are_in_inference():
    inputs = keras.Input((1000,))
    model = keras.Model(inputs, keras.layers.Dropout(0.5)(inputs))
    np.testing.assert_array_equal(compiled(model)(np.ones((1, 1000)))[0], np.ones((1, 1000)))
