import keras
import numpy as np
import pytest

from tests.tolerances import FLOAT64
from ttfs_keras.network.graph import Graph, as_functional, compiled, evaluate


def names(model):
    return [call.operation.name for call in Graph(model).calls]


def test_raw_operations_and_their_order():
    x = keras.Input((3,), name="image")
    hidden = keras.layers.Dense(2, name="hidden")(x)
    model = keras.Model(x, keras.ops.relu(hidden) + hidden)
    graph = Graph(model)
    dense, relu, add = graph.calls
    assert [type(call.operation).__name__ for call in graph.calls] == ["Dense", "Relu", "Add"]
    assert dense.inputs == graph.inputs and add.inputs == relu.outputs + dense.outputs and add.outputs == graph.outputs
    assert graph.makers[dense.outputs[0]] is dense and graph.takers[dense.outputs[0]] == [relu, add]
    assert dense.shape == (None, 2) and dense.outputs[0].dtype == "float32"


def test_the_calls_of_this_model_alone():
    shared = keras.layers.Dense(3, name="shared")
    first, second = keras.Input((3,)), keras.Input((3,))
    keras.Model(first, shared(first))
    model = keras.Model(second, shared(second))
    graph = Graph(model)
    (call,) = graph.calls
    assert call.inputs == graph.inputs and call.outputs == graph.outputs
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(call({call.inputs[0]: x})[0], shared(x))


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
    """Return the names of all calls, those of nested models in their places."""
    return [call.name for call in Graph(model).calls]


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
        "shared", "inner_innermost_deep", "inner_skip", "shared_call2", "inner_call2_innermost_deep",
        "inner_call2_skip", "both",
    ]  # fmt: skip
    assert walked(model) == walked(model) == expected
    loaded = keras.Model.from_config(model.get_config())
    assert walked(loaded) == expected


def values(model, x):
    """Return the outputs of all calls by name."""
    graph = Graph(model)
    tensors = graph.run(x)
    return {call.name: tensors[call.outputs[0]] for call in graph.calls}


def test_a_run_gives_the_tensors_of_calls_at_every_depth():
    model = nested()
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    found = values(model, [x])
    assert list(found) == walked(model)
    shared, inner = model.get_layer("shared"), model.get_layer("inner")
    first = inner(shared(x))
    second = inner(shared(first))
    innermost = inner.get_layer("innermost")
    expected = {
        "shared": shared(x), "inner_skip": first, "shared_call2": shared(first), "inner_call2_skip": second,
        "inner_innermost_deep": innermost(shared(x)), "both": np.concatenate([first, second], 1),
        "inner_call2_innermost_deep": innermost(shared(first)),
    }  # fmt: skip
    for name, expected_values in expected.items():
        np.testing.assert_allclose(found[name], expected_values, rtol=0, atol=1e-6)


def test_only_what_is_needed_is_run():
    graph = Graph(nested())
    (deep,) = (call for call in graph.calls if call.name == "inner_innermost_deep")
    assert [call.name for call in graph.needed(deep.outputs)] == ["shared", "inner_innermost_deep"]
    assert graph.needed(graph.outputs) == graph.calls and graph.needed([]) == []


def test_calls_of_every_depth_are_read_in_a_graph():
    model = nested()
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    graph = Graph(model)
    deep = [call.inputs[0] for call in graph.calls if call.name.endswith("_deep")]
    run = graph.compiled([*deep, *graph.outputs], lambda tensors: (tensors[:2], tensors[2:]))
    found = values(model, [x])
    for batch in (4, 3):
        seen, outputs = run(x[:batch])
        for value, same in zip(seen, (found["shared"], found["shared_call2"]), strict=True):
            np.testing.assert_allclose(value, same[:batch], rtol=0, atol=1e-6)
        for value, same in zip(outputs, model(x[:batch]), strict=True):
            np.testing.assert_allclose(value, same, rtol=0, atol=1e-6)


def test_runs_pass_constants_and_keywords_on():
    inputs = [keras.Input((3,), dtype="float64"), keras.Input((3,), dtype="float64")]
    outputs = keras.ops.sum(2.0 * inputs[0] - keras.ops.clip(inputs[1], 0, 1), axis=1, keepdims=True)
    model = keras.Model(inputs, outputs)
    x = list(np.random.default_rng(0).normal(size=(2, 4, 3)))
    found = values(model, x)[walked(model)[-1]]
    np.testing.assert_allclose(found, np.sum(2 * x[0] - np.clip(x[1], 0, 1), 1, keepdims=True), rtol=0, atol=FLOAT64)


def test_layers_that_are_used_more_than_once_are_named():
    graph = Graph(nested())
    assert list(graph.once(keras.layers.Concatenate)) == ["both"]
    with pytest.raises(ValueError, match=r"used once\. Received: deep, shared used more often"):
        graph.once(keras.layers.Dense)


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
    given = {symbol.name: np.random.default_rng(n).normal(size=(4, 3)) for n, symbol in enumerate(model.inputs)}
    x = list(given.values())
    expected = 2 * given["b"] + given["a"] if len(x) == 2 else 3 * x[0]
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
