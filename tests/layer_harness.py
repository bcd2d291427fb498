"""One test that takes any layer through everything Keras does with layers."""

import inspect
import json

import keras
import numpy as np
import tensorflow as tf

from tests.tolerances import FLOAT64


def lead_times(shape, seed=0, silent=0.3, dtype="float64"):
    """Return random lead times in [0, 1], a share of them silent."""
    random = np.random.default_rng(seed)
    return (random.uniform(0, 1, shape) * (random.uniform(0, 1, shape) >= silent)).astype(dtype)


def randomize(layer, seed=0):
    """Give the trainable weights of a built layer random values, biases and offsets among them."""
    random = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        variable.assign(random.normal(0, 0.5, variable.shape))


def values_of(variables):
    """Return the values of variables as a list of arrays."""
    return [variable.numpy() for variable in variables]


def same_calls(layer, *calls):
    """Return the output of each call, all of them started from the layer's present state."""
    state = values_of(layer.variables)
    outputs = []
    for call in calls:
        for variable, value in zip(layer.variables, state, strict=True):
            variable.assign(value)
        outputs.append(np.asarray(call()))
    return outputs


def of_each(function, inputs):
    """Return a function of one input, or of each in a list of them."""
    return [function(array) for array in inputs] if isinstance(inputs, list) else function(inputs)


def train_on_zeros(layer, symbolic, output, inputs, jit_compile):
    """Train a dense layer behind a layer; nothing becomes NaN or infinite."""
    model = keras.Model(symbolic, keras.layers.Dense(1, dtype=layer.dtype_policy)(output))
    model.compile("sgd", "mse", jit_compile=jit_compile)
    history = model.fit(inputs, np.zeros((len(inputs), *model.output_shape[1:])), batch_size=len(inputs), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert all(np.isfinite(value).all() for value in values_of(model.variables))


def run_layer_test(make, inputs, folder, jit=True, draw=randomize, train=train_on_zeros):
    """Check config, symbolic build, shapes, eager, graph and XLA calls, empty batch, fit, save and export of a layer.

    Args:
        make: callable that returns a new layer of dtype float64.
        inputs: `(batch, ...)` array, or a list of them.
        folder: `pathlib.Path` of an empty folder.
        jit: whether XLA can compile the layer, which `supports_jit` must say; a layer with a custom op it cannot.
        draw: function of the built layer that gives its trainable weights their values.
        train: function of (layer, symbolic inputs, symbolic output, inputs, jit_compile) that trains the layer.
    """
    _config(make())
    layer = make()
    symbolic = of_each(lambda array: keras.Input(array.shape[1:], dtype=array.dtype), inputs)
    output = layer(symbolic)
    model = keras.Model(symbolic, output)
    draw(layer)
    assert layer.supports_jit == jit
    assert output.shape == tuple(layer.compute_output_shape(of_each(lambda array: (None, *array.shape[1:]), inputs)))
    assert output.dtype == layer.compute_dtype == "float64"
    _calls(layer, inputs)
    _empty(layer, inputs)
    for compiled in {False, jit}:
        train(layer, symbolic, output, inputs, compiled)
    _save(model, inputs, folder / "model.keras")
    _export(model, inputs, folder / "exported")


def _config(layer):
    config = layer.get_config()
    assert type(layer).from_config(config).get_config() == config
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    assert keras.saving.deserialize_keras_object(saved).get_config() == config


def _calls(layer, inputs):
    tensors = of_each(tf.constant, inputs)
    graph, xla = tf.function(layer), tf.function(layer, jit_compile=layer.supports_jit)
    eager, graph, xla = same_calls(layer, lambda: layer(tensors), lambda: graph(tensors), lambda: xla(tensors))
    assert eager.shape == tuple(layer.compute_output_shape(of_each(np.shape, inputs)))
    np.testing.assert_allclose(graph, eager, rtol=0, atol=FLOAT64)
    if any(_draws(variable) for variable in layer.variables):
        assert xla.shape == eager.shape  # XLA draws other random numbers from the same seed
    else:
        np.testing.assert_allclose(xla, eager, rtol=0, atol=FLOAT64)


def _draws(variable):
    return variable.path.endswith("draws")


def _empty(layer, inputs):
    kept = [variable for variable in layer.variables if not _draws(variable)]
    before = values_of(kept)
    for training in (False, True):
        arguments = {"training": training} if "training" in inspect.signature(layer.call).parameters else {}
        output = layer(of_each(lambda array: array[:0], inputs), **arguments)
        assert output.shape == (0, *layer.compute_output_shape(of_each(np.shape, inputs))[1:])
    np.testing.assert_equal(values_of(kept), before)


def _save(model, inputs, path):
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert [v.path for v in loaded.weights] == [v.path for v in model.weights]
    np.testing.assert_equal(values_of(loaded.weights), values_of(model.weights))
    assert [item.get_config() for item in loaded.layers] == [item.get_config() for item in model.layers]
    expected, actual = same_calls(model, lambda: model(inputs), lambda: loaded(inputs))
    np.testing.assert_array_equal(actual, expected)


def _export(model, inputs, path):
    model.export(path, verbose=False)
    exported = tf.saved_model.load(path)
    tensors = of_each(tf.constant, inputs)
    expected, actual = same_calls(model, lambda: model(inputs), lambda: exported.serve(tensors))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=FLOAT64)
