"""Tests that take any layer of spike trains through everything Keras does with layers, and oracles for gradients."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layer_harness import same_calls, values_of
from tests.tolerances import FLOAT64, GRADIENT
from ttfs_keras.bats.delays import AxonalDelay
from ttfs_keras.bats.losses import SpikeTime
from ttfs_keras.bats.merging import FlattenSpikes
from ttfs_keras.bats.metrics import FirstSpikeAccuracy

RATE = 0.01  # of training


def spike_trains(shape, seed=0, silent=0.2, end=0.2):
    """Return float64 trains `(batch, neurons..., K)` in [0, end): a share silent, the others of 1 to K spikes."""
    random = np.random.default_rng(seed)
    counts = random.integers(1, shape[-1] + 1, shape[:-1]) * (random.uniform(size=shape[:-1]) >= silent)
    times = np.where(np.arange(shape[-1]) < counts[..., None], random.uniform(0, end, shape), np.inf)
    return np.sort(times, axis=-1)


def gradient_of(function, values, upstream=None):
    """Return dL/dvalues of L = sum(upstream * function(values)), as float64 arrays, eager, in a graph and by XLA.

    The three must agree. Where the function's values are inf, L leaves them out.

    Args:
        function: of a float64 tensor.
        values: array.
        upstream: array of the result's shape; ones by default.
    """

    def gradient(tensor):
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            result = function(tensor)
        ones = tf.ones_like(result) if upstream is None else tf.constant(upstream)
        return tape.gradient(result, tensor, output_gradients=ones, unconnected_gradients="zero")

    tensor = tf.constant(values)
    eager, graph, xla = (
        np.asarray(call(tensor)) for call in (gradient, tf.function(gradient), tf.function(gradient, jit_compile=True))
    )
    np.testing.assert_allclose(graph, eager, rtol=0, atol=FLOAT64)
    np.testing.assert_allclose(xla, eager, rtol=FLOAT64, atol=FLOAT64)
    assert np.isfinite(eager).all()
    return eager


def differences_of(function, values, upstream=None, step=1e-6):
    """Return what `gradient_of` does by central differences; 0 for entries that are not finite."""

    def total(changed):
        result = np.asarray(function(tf.constant(changed)))
        finite = np.isfinite(result)
        return np.sum(result[finite] * (1 if upstream is None else upstream[finite]))

    gradient = np.zeros(values.shape)
    for index in zip(*np.nonzero(np.isfinite(values)), strict=True):
        ahead, behind = values.copy(), values.copy()
        ahead[index] += step
        behind[index] -= step
        gradient[index] = (total(ahead) - total(behind)) / (2 * step)
    return gradient


def assert_gradients_agree(gradient, differences):
    """Check a gradient against central differences."""
    np.testing.assert_allclose(gradient, differences, rtol=GRADIENT, atol=GRADIENT * max(1, abs(differences).max()))


def run_train_layer_test(make, inputs, folder, jit=True, weights=(0.0, 0.05)):
    """Check config, symbolic build, shapes, eager, graph and XLA calls, empty batch, fit, save and export of a layer.

    Args:
        make: callable that returns a new layer of dtype float64.
        inputs: float64 `(batch, ...)` array, or a list of them.
        folder: `pathlib.Path` of an empty folder.
        jit: whether XLA can compile the layer, which `supports_jit` must say; a layer with a custom op it cannot.
        weights: (low, high) between which the layer's trainable weights are drawn.
    """
    _config(make())
    layer = make()
    symbolic = _map(lambda array: keras.Input(array.shape[1:], dtype=array.dtype), inputs)
    output = layer(symbolic)
    model = keras.Model(symbolic, output)
    random = np.random.default_rng(0)
    for variable in layer.trainable_variables:
        variable.assign(random.uniform(*weights, variable.shape))
    assert layer.supports_jit == jit
    assert output.shape == tuple(layer.compute_output_shape(_map(lambda array: (None, *array.shape[1:]), inputs)))
    assert output.dtype == layer.compute_dtype == "float64"
    _half(layer)
    _calls(layer, inputs)
    _empty(layer, inputs)
    # Delays behind it, so that there is something to train whatever the layer.
    delayed = AxonalDelay(dtype="float64")(FlattenSpikes(dtype="float64")(output))
    trained = keras.Model(symbolic, delayed)
    for compiled in {False, jit}:
        _fit(trained, layer, inputs, compiled)
    _save(model, inputs, folder / "model.keras")
    _export(model, inputs, folder / "exported")


def _map(function, inputs):
    return [function(array) for array in inputs] if isinstance(inputs, list) else function(inputs)


def _config(layer):
    config = layer.get_config()
    assert type(layer).from_config(config).get_config() == config
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    assert keras.saving.deserialize_keras_object(saved).get_config() == config


def _half(layer):
    """Half precision has no room for times: a global policy is not followed, an explicit one refused."""
    config = layer.get_config()
    del config["dtype"]
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        assert type(layer).from_config(config).compute_dtype == "float32"
    finally:
        keras.config.set_dtype_policy(policy)
    with pytest.raises(ValueError, match=r"need dtype float32 or float64\. Received: dtype=bfloat16"):
        type(layer)(**{**config, "dtype": "bfloat16"})


def _calls(layer, inputs):
    tensors = _map(tf.constant, inputs)
    graph, xla = tf.function(layer), tf.function(layer, jit_compile=layer.supports_jit)
    eager, graph, xla = same_calls(layer, lambda: layer(tensors), lambda: graph(tensors), lambda: xla(tensors))
    assert eager.shape == tuple(layer.compute_output_shape(_map(np.shape, inputs)))
    assert np.isfinite(eager).any() and not np.isnan(eager).any()
    assert (eager[..., 1:] >= eager[..., :-1]).all()
    np.testing.assert_allclose(graph, eager, rtol=0, atol=FLOAT64)
    np.testing.assert_allclose(xla, eager, rtol=0, atol=FLOAT64)


def _empty(layer, inputs):
    before = values_of(layer.variables)
    output = layer(_map(lambda array: array[:0], inputs))
    assert output.shape == (0, *layer.compute_output_shape(_map(np.shape, inputs))[1:])
    np.testing.assert_equal(values_of(layer.variables), before)


def _fit(model, layer, inputs, jit_compile):
    """Train on first spikes: all that the layer has to train gets a gradient."""
    samples = len(inputs[0] if isinstance(inputs, list) else inputs)
    labels = np.random.default_rng(0).integers(0, model.output_shape[1], samples)
    loss = SpikeTime(0.0, 0.3, silent_time=0.3, dtype="float64")
    model.compile(keras.optimizers.SGD(RATE), loss, metrics=[FirstSpikeAccuracy()], jit_compile=jit_compile)
    before = values_of(layer.trainable_variables)
    history = model.fit(inputs, labels, batch_size=samples, verbose=0).history
    assert np.isfinite(history["loss"]).all() and np.isfinite(history["first_spike_accuracy"]).all()
    assert all(np.isfinite(value).all() for value in values_of(model.variables))
    changed = [(a != b).any() for a, b in zip(before, values_of(layer.trainable_variables), strict=True)]
    assert all(changed)
    if jit_compile:
        return
    assert set(model.evaluate(inputs, labels, verbose=0, return_dict=True)) >= {"loss", "first_spike_accuracy"}
    assert model.predict(inputs, verbose=0).shape == (samples, *model.output_shape[1:])


def _save(model, inputs, path):
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert [v.path for v in loaded.weights] == [v.path for v in model.weights]
    np.testing.assert_equal(values_of(loaded.weights), values_of(model.weights))
    assert [item.get_config() for item in loaded.layers] == [item.get_config() for item in model.layers]
    np.testing.assert_array_equal(loaded(inputs), model(inputs))


def _export(model, inputs, path):
    model.export(path, verbose=False)
    exported = tf.saved_model.load(path)
    np.testing.assert_allclose(exported.serve(_map(tf.constant, inputs)), model(inputs), rtol=0, atol=FLOAT64)
