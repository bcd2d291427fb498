import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layer_harness import randomize, run_layer_test
from tests.stbp.tolerances import STATISTICS
from tests.tolerances import FLOAT64
from ttfs_keras import stbp

SHAPES = [(6, 3, 5), (3, 2, 4, 5, 6)]

# Runs where TensorFlow has not started yet, because it then cannot be given two devices any more.
REPLICAS = """
import json
import keras, numpy as np, tensorflow as tf
from ttfs_keras import stbp

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
random = np.random.default_rng(0)
inputs = random.normal(1, 2, (16, 3, 5)) * np.linspace(0.5, 2, 16)[:, None, None]
targets = random.normal(size=(16, 3, 4))

def trained(strategy, dtype, samples, rate):
    with strategy.scope():
        kernel = keras.initializers.RandomNormal(seed=1)
        dense = keras.layers.Dense(4, kernel_initializer=kernel, use_bias=False, dtype=dtype)
        norm = stbp.ThresholdDependentBatchNormalization(0.4, 0.7, dtype=dtype)
        model = keras.Sequential([keras.Input((3, 5), dtype=dtype), dense, norm])
        model.compile(keras.optimizers.SGD(rate), "mse")
    model.fit(inputs[:samples], targets[:samples], batch_size=8, epochs=2, shuffle=False, verbose=0)
    return [np.array(weight).tolist() for weight in model.get_weights()]

result = {}
strategies = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), tf.distribute.get_strategy()
# At rate 0 where batches are uneven: Keras weighs replicas, not samples.
cases = {"even, float32": ("float32", 16, 0.1), "even, float64": ("float64", 16, 0.1),
         "a replica without samples, float64": ("float64", 9, 0.0)}
for name, case in cases.items():
    result[name] = [trained(strategy, *case) for strategy in strategies]
print(json.dumps(result))
"""


def values(shape, dtype="float64"):
    random = np.random.default_rng(0)
    return (random.normal(1, 2, shape) * random.uniform(0.5, 3, shape[-1])).astype(dtype)


def pair(shape, dtype, threshold=0.4, alpha=0.7):
    """Return the layer and Keras's own with gamma alpha V_th, with the same random weights."""
    layer = stbp.ThresholdDependentBatchNormalization(threshold, alpha, dtype=dtype)
    other = keras.layers.BatchNormalization(axis=-1, momentum=0.9, epsilon=1e-5, dtype=dtype)
    for item in (layer, other):
        item.build(shape)
    randomize(layer)
    other.gamma.assign(layer.gamma * (alpha * threshold))
    other.beta.assign(layer.beta)
    return layer, other


@pytest.mark.parametrize("shape", SHAPES)
def test_tdbn_is_a_keras_layer(shape, tmp_path):
    def make():
        return stbp.ThresholdDependentBatchNormalization(0.5, 0.7, 0.8, 1e-3, dtype="float64")

    run_layer_test(make, values(shape), tmp_path)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", STATISTICS), ("float64", FLOAT64)])
@pytest.mark.parametrize("shape", SHAPES)
def test_tdbn_is_batch_normalization_times_alpha_and_threshold(shape, dtype, tolerance, jit_compile):
    layers, x, upstream = pair(shape, dtype), tf.constant(values(shape, dtype)), values(shape, dtype)
    results = []
    for layer in layers:

        @tf.function(jit_compile=jit_compile)
        def train(x, layer=layer):
            with tf.GradientTape() as tape:
                tape.watch(x)
                outputs = layer(x, training=True)
            return outputs, tape.gradient(outputs, x, upstream)

        seen = [*train(x), *train(3 * x - 1)]
        results.append([*seen, layer(x, training=False), layer.moving_mean, layer.moving_variance])
    for received, expected in zip(*results, strict=True):
        np.testing.assert_allclose(received, expected, rtol=tolerance, atol=tolerance)


def test_gradients_by_gamma_and_beta_are_batch_normalizations():
    (layer, other), x = pair(SHAPES[1], "float64"), values(SHAPES[1])
    results = []
    for item, factor in ((layer, 1.0), (other, 0.7 * 0.4)):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(item(x, training=True) ** 3)
        to_gamma, to_beta = tape.gradient(loss, [item.gamma.value, item.beta.value])
        results.append([to_gamma * factor, to_beta])
    for received, expected in zip(*results, strict=True):
        np.testing.assert_allclose(received, expected, rtol=FLOAT64)


def test_a_sum_of_two_branches_at_alpha_1_over_sqrt_2_has_the_thresholds_deviation():
    branches = [
        stbp.ThresholdDependentBatchNormalization(0.4, 0.5**0.5)(
            np.random.default_rng(seed).normal(3, 5, (64, 2, 8, 8, 4)).astype("float32"), training=True
        )
        for seed in range(2)
    ]
    total = np.sum(branches, axis=0)
    np.testing.assert_allclose([total.mean(), total.std()], [0, 0.4], rtol=0, atol=0.01)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_empty_batch_leaves_the_statistics(dtype):
    layer, _ = pair(SHAPES[1], dtype)
    x = values(SHAPES[1], dtype)
    layer(x, training=True)
    before = layer.get_weights()
    assert layer(x[:0], training=True).shape == (0, *SHAPES[1][1:])
    for received, expected in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(received, expected)
    assert int(layer.steps) == 1


def test_a_frozen_layer_uses_and_keeps_its_moving_statistics():
    layer, _ = pair(SHAPES[0], "float64")
    x = values(SHAPES[0])
    layer(x, training=True)
    layer.trainable = False
    before = layer.get_weights()
    np.testing.assert_array_equal(layer(x, training=True), layer(x, training=False))
    for received, expected in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(received, expected)


@pytest.fixture(scope="module")
def replicas():
    """Weights after training with two replicas and with one."""
    done = subprocess.run([sys.executable, "-c", REPLICAS], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("case", "tolerance"),
    [("even, float32", STATISTICS), ("even, float64", FLOAT64), ("a replica without samples, float64", FLOAT64)],
)
def test_two_replicas_have_the_statistics_and_the_training_of_one(replicas, case, tolerance):
    both, one = replicas[case]
    for received, expected in zip(both, one, strict=True):
        np.testing.assert_allclose(received, expected, rtol=tolerance, atol=tolerance)


def warnings_in(caplog):
    """Return what the package warned of; TensorFlow warns of its own, depending on what ran before."""
    return [record.getMessage() for record in caplog.records if record.name == "ttfs_keras"]


def test_an_evaluation_before_any_training_step_is_warned_of(caplog):
    norm = stbp.ThresholdDependentBatchNormalization(0.4, name="norm")
    model = keras.Sequential([keras.Input((3, 5)), norm])
    model.compile("sgd", "mse")
    x = values(SHAPES[0], "float32")
    with pytest.raises(ValueError, match="no training step in norm"):
        stbp.check_trained(model)
    assert not warnings_in(caplog)
    model.predict(x, verbose=0)
    assert warnings_in(caplog) == ["norm: evaluated with statistics that no training step has made"]
    caplog.clear()
    model.fit(x, x, verbose=0)
    model.evaluate(x, x, verbose=0)
    stbp.check_trained(model)
    assert not warnings_in(caplog)


def test_a_loaded_model_remembers_its_training_steps(tmp_path, caplog):
    model = keras.Sequential([keras.Input((3, 5)), stbp.ThresholdDependentBatchNormalization(0.4)])
    model.compile("sgd", "mse")
    model.fit(*2 * [values(SHAPES[0], "float32")], verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    stbp.check_trained(keras.Sequential([keras.Input((3, 5)), loaded]))
    loaded.predict(values(SHAPES[0], "float32"), verbose=0)
    assert not warnings_in(caplog)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 0}, "threshold > 0"),
        ({"threshold": 0.4, "alpha": 0}, "alpha > 0"),
        ({"threshold": 0.4, "momentum": 1}, "0 <= momentum < 1"),
        ({"threshold": float("nan"), "alpha": -1, "epsilon": 0}, "threshold > 0 and alpha > 0 and epsilon > 0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        stbp.ThresholdDependentBatchNormalization(**arguments)


@pytest.mark.parametrize("shape", [(4, 28, 28, 1), (4, 0, 5), (4, 5)])
def test_inputs_without_a_sure_time_axis_are_refused(shape):
    with pytest.raises(ValueError, match="fixed number of time steps >= 1"):
        stbp.ThresholdDependentBatchNormalization(0.4)(keras.Input(batch_shape=shape))
