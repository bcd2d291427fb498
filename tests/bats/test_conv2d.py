import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.bats import oracle, problems
from tests.bats.harness import run_train_layer_test, spike_trains
from tests.bats.tolerances import DIFFERENCE_STEP
from tests.tolerances import FLOAT32, FLOAT64, GRADIENT
from ttfs_keras.bats.conv2d import BATSConv2D
from ttfs_keras.bats.recovery import PeakPotential

PROBLEM = problems.CASES["convolution"]
CONSTANTS = ("threshold", "delta_threshold", "tau_s")
VARIANTS = {
    "default": {"kernel_size": 2},
    "pair": {"kernel_size": (3, 1), "max_spikes": 2, "recovery": PeakPotential(0.5)},
    "trained constants": {
        "kernel_size": 2,
        "trainable_tau_s": True,
        "trainable_threshold": True,
        "simulation_time": 1.0,
    },
}

# Runs where TensorFlow has not started yet, because it then cannot be given two devices any more.
REPLICAS = """
import json
import keras, numpy as np, tensorflow as tf
from ttfs_keras import bats

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
random = np.random.default_rng(0)
images, labels = random.uniform(size=(24, 6, 6, 1)), random.integers(0, 3, 24)
result = []
for strategy in (tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), tf.distribute.get_strategy()):
    with strategy.scope():
        keras.utils.set_random_seed(1)
        inputs = keras.Input((6, 6, 1), dtype="float64")
        constants = {"recovery": bats.PeakPotential(0.5), "dtype": "float64"}
        constants["kernel_initializer"] = keras.initializers.RandomUniform(-0.3, 1.0, seed=2)
        x = bats.LatencyEncoder(dtype="float64")(inputs)
        x = bats.BATSConv2D(4, 3, threshold=0.1, max_spikes=2, name="conv", **constants)(x)
        x = bats.FlattenSpikes(dtype="float64")(bats.SpikePooling2D(2, dtype="float64")(x))
        constants |= {"trainable_threshold": True, "trainable_tau_s": True}
        x = bats.BATSDense(3, threshold=0.02, max_spikes=2, name="dense", **constants)(x)
        model = keras.Model(inputs, x)
        model.compile(keras.optimizers.SGD(0.01), bats.losses.SpikeCount(3, 1), metrics=[bats.metrics.CountAccuracy()])
    scaling = bats.SynapticScaling(0.1)
    history = model.fit(
        images, labels, batch_size=8, epochs=2, shuffle=False, verbose=0, validation_data=(images[:8], labels[:8]),
        callbacks=[scaling],
    ).history
    result.append({**history, **{w.path: np.array(w).tolist() for w in model.weights}})
print(json.dumps(result))
"""


def layer_of(problem, **changes):
    """Return the layer with the kernel and constants of a problem."""
    names = (*CONSTANTS, "simulation_time", "max_spikes")
    arguments = {**{name: getattr(problem, name) for name in names}, "dtype": "float64", **changes}
    layer = BATSConv2D(problem.kernel.shape[-1], problem.kernel.shape[:2], **arguments)
    layer.build(problem.times.shape)
    layer.kernel.assign(problem.kernel)
    return layer


@pytest.mark.parametrize("variant", VARIANTS)
def test_is_a_well_behaved_layer(variant, tmp_path):
    weights = (0.2, 1.0) if variant == "trained constants" else (0.5, 2.0)
    trains = spike_trains((3, 4, 3, 2, 2))
    run_train_layer_test(lambda: BATSConv2D(2, dtype="float64", **VARIANTS[variant]), trains, tmp_path, False, weights)


@pytest.mark.parametrize("case", ["convolution", "tall image, single spike", "1 x 1 kernel on an image"])
def test_trains_are_the_oracles(case):
    problem = problems.CASES[case]
    expected, counts, overflow = oracle.spikes(problem)
    layer = layer_of(problem)
    np.testing.assert_allclose(layer(problem.times), expected, rtol=0, atol=FLOAT64)
    samples = len(problem.times)
    assert {name: float(value) for name, value in layer.monitor.result().items()} == pytest.approx(
        {
            f"{layer.name}_spikes": counts.sum() / samples,
            f"{layer.name}_silent": np.mean(counts.sum(0) == 0),  # of all positions
            f"{layer.name}_overflow": overflow / samples,
        }
    )


@pytest.mark.parametrize("name", CONSTANTS)
def test_trained_constants_get_their_gradients(name):
    layer = layer_of(PROBLEM, **{f"trainable_{name}": True})
    weights, counts = np.random.default_rng(0).normal(size=(2, 2, 2, 2, 6)), oracle.spikes(PROBLEM)[1]

    def loss(moved):
        times, moved_counts, _ = oracle.spikes(moved)
        assert (moved_counts == counts).all()
        return (weights * np.where(np.isfinite(times), times, 0)).sum()

    with tf.GradientTape() as tape:
        times = layer(PROBLEM.times)
    found = tape.gradient(times, layer.learned_weights[name].value, output_gradients=tf.constant(weights))
    np.testing.assert_allclose(found, oracle.differences(loss, PROBLEM, name, DIFFERENCE_STEP), rtol=GRADIENT)


def test_recovery_adds_the_gaps_of_silent_neurons():
    layer = layer_of(PROBLEM, recovery=PeakPotential(2.0))
    layer(PROBLEM.times)
    silent = (oracle.spikes(PROBLEM)[1] == 0) & np.isfinite(oracle.peaks(PROBLEM)[0])
    gaps = np.maximum(0, 1 - oracle.peaks(PROBLEM)[0] / PROBLEM.threshold)[silent]
    assert 0 < len(gaps) < silent.size
    np.testing.assert_allclose(layer.losses, [2.0 * gaps.sum() / 2], rtol=FLOAT32)


def test_two_replicas_train_and_count_as_one():
    """A network of convolution, pooling and dense layer with recovery, trained constants and synaptic scaling."""
    done = subprocess.run([sys.executable, "-c", REPLICAS], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    both, one = json.loads(done.stdout.splitlines()[-1])
    names = {f"{layer}_{what}" for layer in ("conv", "dense") for what in ("spikes", "silent", "overflow")}
    assert {"loss", "count_accuracy", "val_loss", *names, *(f"val_{name}" for name in names)} <= set(both) == set(one)
    assert both["conv_spikes"][0] > 0 and both["dense_overflow"][0] > 0
    for key in both:
        np.testing.assert_allclose(both[key], one[key], rtol=FLOAT32, atol=FLOAT64, err_msg=key)


def test_all_bad_arguments_are_named_at_once():
    with pytest.raises(ValueError) as error:
        BATSConv2D(filters=0, kernel_size=(3, 0), tau_s=-1.0, max_spikes=1.5)
    for message in ("filters: ", "Received: 0", "kernel_size: ", "Received: (3, 0)", "tau_s: ", "max_spikes: "):
        assert message in str(error.value)


@pytest.mark.parametrize("size", [2.0, (1, 2, 3), "33", None, (1, None)])
def test_bad_kernel_sizes_are_named(size):
    with pytest.raises(ValueError, match="kernel_size: expected one or two ints"):
        BATSConv2D(1, size)


@pytest.mark.parametrize("shape", [(None, 4, 2), (None, 4, 2, 1, 1), (None, None, 4, 1, 1), (None, 4, 4, None, 1)])
def test_shapes_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match=r"of at least \(3, 3\)\. Received shape: "):
        BATSConv2D(1, 3).build(shape)


def test_a_global_float64_policy_is_followed():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        assert BATSConv2D(1, 2)(spike_trains((1, 3, 3, 1, 2))).dtype == "float64"
    finally:
        keras.config.set_dtype_policy(policy)
