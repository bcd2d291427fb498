"""What the layer test needs for layers of spike trains, and oracles for gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layer_harness import of_each, run_layer_test, values_of
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
    """Check what `run_layer_test` does, that trains come out, and that half precision is kept away from times.

    Args:
        make, inputs, folder, jit: see `run_layer_test`.
        weights: (low, high) between which the layer's trainable weights are drawn.
    """

    def draw(layer):
        random = np.random.default_rng(0)
        for variable in layer.trainable_variables:
            variable.assign(random.uniform(*weights, variable.shape))
        _half(layer)
        times = layer(of_each(tf.constant, inputs)).numpy()
        assert np.isfinite(times).any() and not np.isnan(times).any()
        assert (times[..., 1:] >= times[..., :-1]).all()

    run_layer_test(make, inputs, folder, jit, draw, _train_on_first_spikes)


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


def _train_on_first_spikes(layer, symbolic, output, inputs, jit_compile):
    """Train on first spikes: all that the layer has to train gets a gradient."""
    # Delays behind it, so that there is something to train whatever the layer.
    model = keras.Model(symbolic, AxonalDelay(dtype="float64")(FlattenSpikes(dtype="float64")(output)))
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
