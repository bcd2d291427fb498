import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import ttfs_keras as tk
from tests.layer_harness import lead_times
from tests.tolerances import FLOAT64, QUANTILE
from ttfs_keras.ttfs import windows

# Runs where TensorFlow has not started yet, because it then cannot be given two devices any more.
REPLICAS = """
import json, sys
import keras, numpy as np, tensorflow as tf
import ttfs_keras as tk

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
inputs = np.random.default_rng(0).uniform(0, 1, (24, 5)).astype("float32")
inputs *= np.linspace(0.5, 2, 24, dtype="float32")[:, None]
inputs[0] = 3  # one replica alone sees the maximum

def trained(strategy, rule, samples, rate):
    with strategy.scope():
        kernel = keras.initializers.RandomNormal(seed=1)
        layer = tk.TTFSDense(4, window_rule=rule, kernel_initializer=kernel, dtype="float64")
        model = keras.Sequential([keras.Input((5,), dtype="float64"), layer])
        model.compile(keras.optimizers.SGD(rate), "mse")
    before = layer.kernel.numpy().tolist()
    targets = np.ones((samples, 4))
    model.fit(inputs[:samples], targets, batch_size=8, epochs=2, shuffle=False, verbose=0)
    copies = [float(copy) for copy in getattr(layer.window.value, "values", [layer.window.value])]
    return {"windows": copies, "before": before, "after": layer.kernel.numpy().tolist()}

# At rate 0 where batches are uneven: Keras weighs replicas, not samples.
cases = {"grow": (tk.GrowToMaximum(0.5), 24, 0.1), "track": (tk.TrackQuantile(0.5, momentum=1.0), 8, 0.0),
         "grow, a replica without samples": (tk.GrowToMaximum(0.5), 9, 0.0),
         "track, a replica without samples": (tk.TrackQuantile(0.5, momentum=1.0), 9, 0.0)}
result = {"inputs": inputs.tolist()}
for name, case in cases.items():
    strategies = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), tf.distribute.get_strategy()
    result[name] = [trained(strategy, *case) for strategy in strategies]
print(json.dumps(result))
"""


def neuron(rule, window=1.0):
    layer = tk.TTFSNeuron(window, rule, dtype="float64")
    layer.build((None, 4))
    return layer


def potentials(seed, shape=(50, 4)):
    return np.random.default_rng(seed).normal(0, 2, shape)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 99), margin=st.floats(0, 3), window=st.floats(0.1, 20))
def test_window_grows_before_the_gate_so_that_no_activation_of_training_overflows(seed, margin, window):
    layer = neuron(tk.GrowToMaximum(margin), window)
    z = potentials(seed)
    np.testing.assert_array_equal(layer(z, training=True), np.maximum(z, 0))
    np.testing.assert_allclose(layer.window, max(window, (1 + margin) * z.max()), rtol=FLOAT64)


def test_window_never_shrinks_and_holds_the_maximum_of_all_batches():
    layer, seen = neuron(tk.GrowToMaximum(0.5), 0.1), []
    for seed in range(5):
        z = potentials(seed) * (1 + seed % 3)
        seen.append(z.max())
        layer(z, training=True)
        np.testing.assert_allclose(layer.window, 1.5 * max(seen), rtol=FLOAT64)


@pytest.mark.parametrize("rule", [tk.GrowToMaximum(), tk.TrackQuantile(0.5, momentum=1.0), tk.FixedWindow()])
def test_evaluation_leaves_the_window_and_clips_at_it(rule):
    layer, z = neuron(rule), potentials(0)
    np.testing.assert_array_equal(layer(z, training=False), np.clip(z, 0, 1))
    np.testing.assert_array_equal(layer(z), np.clip(z, 0, 1))
    assert layer.window.numpy() == 1


@pytest.mark.parametrize("training", [False, True])
def test_a_fixed_window_of_6_is_relu6(training):
    layer, z = neuron(tk.FixedWindow(), 6.0), potentials(0) * 5
    np.testing.assert_array_equal(layer(z, training=training), tf.nn.relu6(z))
    assert layer.window.numpy() == 6


def test_window_gets_no_gradient_while_it_grows():
    layer, z = neuron(tk.GrowToMaximum()), tf.constant(potentials(0))
    with tf.GradientTape() as tape:
        tape.watch(z)
        lead = layer(z, training=True)
    np.testing.assert_array_equal(tape.gradient(lead, z), (z > 0).numpy())


def test_window_converges_to_the_quantile_of_a_stationary_stream():
    layer = neuron(tk.TrackQuantile(0.9, margin=0.2, momentum=0.05), 50.0)
    for seed in range(300):
        layer(potentials(seed, (400, 4)), training=True)
    positive = np.concatenate([potentials(seed, (400, 4)).ravel() for seed in range(300)])
    expected = 1.2 * np.quantile(positive[positive > 0], 0.9)
    np.testing.assert_allclose(layer.window, expected, rtol=QUANTILE)


def test_window_stays_where_no_potential_is_positive():
    layer = neuron(tk.TrackQuantile(0.9, momentum=0.5), 2.0)
    layer(-abs(potentials(0)), training=True)
    assert layer.window.numpy() == 2


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("rule", [tk.GrowToMaximum(0.5), tk.TrackQuantile(0.75, momentum=0.5), tk.FixedWindow()])
def test_windows_move_in_fit_and_stay_in_evaluate(rule, jit_compile):
    layer = tk.TTFSDense(4, window_rule=rule, window=0.01, dtype="float64")
    model = keras.Sequential([keras.Input((5,), dtype="float64"), layer])
    inputs, targets = lead_times((16, 5)), np.ones((16, 4))
    z = inputs.astype("float32") @ layer.kernel.numpy()
    model.compile("sgd", "mse", jit_compile=jit_compile)
    model.fit(inputs, targets, batch_size=16, verbose=0)
    quantile = np.quantile(z[z > 0], 0.75, method="inverted_cdf")
    expected = {"GrowToMaximum": 1.5 * z.max(), "TrackQuantile": (0.01 + quantile) / 2, "FixedWindow": 0.01}
    moved = layer.window.numpy()
    np.testing.assert_allclose(moved, expected[type(rule).__name__], rtol=FLOAT64)
    model.evaluate(inputs * 100, targets, verbose=0)
    model.predict(inputs * 100, verbose=0)
    assert layer.window.numpy() == moved


@settings(deadline=None, max_examples=100)
@given(
    values=st.lists(st.floats(-100, 100, width=32, allow_subnormal=False), max_size=70), sixteenths=st.integers(1, 16)
)
def test_positive_quantile_is_numpys(values, sixteenths):
    values = np.array(values, "float32")
    positive = values[values > 0]
    expected = np.quantile(positive, sixteenths / 16, method="inverted_cdf") if len(positive) else 0
    assert windows.positive_quantile(tf.constant(values), sixteenths / 16).numpy() == np.float32(expected)


def test_positive_quantile_of_a_large_tensor_is_close():
    values = np.random.default_rng(0).normal(size=(300, 1000))
    expected = np.quantile(values[values > 0], 0.9)
    np.testing.assert_allclose(windows.positive_quantile(tf.constant(values), 0.9), expected, rtol=QUANTILE)


@pytest.fixture(scope="module")
def replicas():
    """Windows and kernels after training with two replicas and with one."""
    command = [sys.executable, "-c", REPLICAS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", ["grow", "grow, a replica without samples", "track, a replica without samples"])
def test_two_replicas_move_the_window_and_the_weights_as_one_that_sees_the_whole_batch(replicas, case):
    both, one = replicas[case]
    np.testing.assert_allclose(both["windows"], one["windows"] * 2, rtol=FLOAT64)
    np.testing.assert_allclose(both["after"], one["after"], rtol=0, atol=FLOAT64)
    assert (both["after"] != both["before"]) == (case == "grow")


def test_two_replicas_track_the_mean_of_their_quantiles(replicas):
    both, _ = replicas["track"]
    z = np.split(np.array(replicas["inputs"][:8]) @ np.array(both["before"]), 2)
    expected = np.mean([np.quantile(half[half > 0], 0.5, method="inverted_cdf") for half in z])
    np.testing.assert_allclose(both["windows"], [expected] * 2, rtol=FLOAT64)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tk.GrowToMaximum(-0.1), "margin >= 0"),
        (lambda: tk.GrowToMaximum(float("nan")), "margin >= 0"),
        (lambda: tk.TrackQuantile(0), "0 < quantile <= 1"),
        (lambda: tk.TrackQuantile(1.1), "0 < quantile <= 1"),
        (lambda: tk.TrackQuantile(0.5, margin=-1), "margin > -1"),
        (lambda: tk.TrackQuantile(0.5, momentum=0), "0 < momentum <= 1"),
        (lambda: windows.get("GrowToMaximum"), "window_rule: expected"),
        (lambda: windows.get(keras.saving.serialize_keras_object(tk.TimeQuantization(3))), "window_rule: expected"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_no_rule_is_growth():
    assert isinstance(windows.get(None), tk.GrowToMaximum)


@pytest.mark.parametrize("rule", [tk.FixedWindow(), windows.Clip()])
def test_clips_and_fixed_windows_stay_while_neurons_saturate(rule):
    layer = neuron(rule, window=6.0)
    z = 10 * potentials(0)
    np.testing.assert_allclose(layer(z, training=True), np.clip(z, 0, 6), rtol=0, atol=FLOAT64)
    assert float(layer.window) == 6


def test_a_clip_is_saved_as_one():
    layer = tk.TTFSDense(3, window=6.0, window_rule=windows.Clip(), unit=2.0)
    copy = type(layer).from_config(layer.get_config())
    assert type(copy.neuron.window_rule) is windows.Clip
    assert copy.neuron.unit == 2


@pytest.mark.parametrize("frozen", ["layer", "model"])
def test_windows_of_frozen_layers_stay_as_they_are(frozen):
    layer = tk.TTFSDense(3, kernel_initializer="ones", window=0.5, name="frozen")
    inputs = keras.Input((4,))
    model = keras.Model(
        inputs, tk.TTFSNeuron(window=0.5, name="free")(keras.layers.Dense(3, kernel_initializer="ones")(layer(inputs)))
    )
    (layer if frozen == "layer" else model).trainable = False
    model(np.full((8, 4), 9.0), training=True)
    assert float(layer.window) == 0.5
    assert (float(model.get_layer("free").window) == 0.5) == (frozen == "model")
