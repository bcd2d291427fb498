import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.bats.harness import spike_trains
from tests.tolerances import FLOAT32
from ttfs_keras.bats.delays import AxonalDelay
from ttfs_keras.bats.losses import SpikeTime
from ttfs_keras.bats.metrics import CountAccuracy, DecayAccuracy, FirstSpikeAccuracy, SilentLabels

INF = np.inf
METRICS = {
    "count": CountAccuracy,
    "first": FirstSpikeAccuracy,
    "decay": lambda **k: DecayAccuracy(4.0, **k),
    "silent": SilentLabels,
}

# Runs where TensorFlow has not started yet, because it then cannot be given two devices any more.
REPLICAS = """
import json
import keras, numpy as np, tensorflow as tf
from ttfs_keras.bats.delays import AxonalDelay
from ttfs_keras.bats.losses import SpikeTime
from ttfs_keras.bats.delays import AxonalDelay
from ttfs_keras.bats.losses import SpikeTime
from ttfs_keras.bats.metrics import CountAccuracy, FirstSpikeAccuracy, SilentLabels

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
random = np.random.default_rng(0)
times = np.sort(random.choice([0.1, 0.2, 0.4, np.inf], (16, 3, 2)))
labels = random.integers(0, 3, 16)
result = []
for strategy in (tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), tf.distribute.get_strategy()):
    with strategy.scope():
        inputs = keras.Input((3, 2))
        model = keras.Model(inputs, AxonalDelay()(inputs))
        metrics = [CountAccuracy(), FirstSpikeAccuracy(), SilentLabels()]
        model.compile(keras.optimizers.SGD(0.1), SpikeTime(0.5, 0.9, 1.0), metrics=metrics)
    history = model.fit(times, labels, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    result.append({**history, "delays": model.get_weights()[0].tolist()})
print(json.dumps(result))
"""


def oracle(name, labels, trains):
    """Right or wrong, sample by sample; the lowest index of those that tie."""
    right = []
    for label, sample in zip(labels, trains, strict=True):
        scores = {
            "count": np.isfinite(sample).sum(-1),
            "first": -sample.min(-1),
            "decay": np.exp(-4.0 * sample).sum(-1),
        }
        if name == "silent":
            right.append(np.isinf(sample[label]).all())
        else:
            right.append(np.isfinite(sample).any() and np.flatnonzero(scores[name] == scores[name].max())[0] == label)
    return np.array(right)


def coarse_trains(shape, seed=0):
    """Trains with many ties."""
    return np.sort(np.random.default_rng(seed).choice([0.1, 0.2, INF, INF], shape))


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("shape", [(40, 3, 2), (40, 4, 1)])
def test_batches_add_up_eager_and_by_xla(name, shape):
    trains, labels = coarse_trains(shape), np.arange(40) % 3
    expected = oracle(name, labels, trains)
    assert 0 < expected.mean() < 1
    for jit in (None, False, True):
        metric = METRICS[name]()
        update = metric.update_state if jit is None else tf.function(metric.update_state, jit_compile=jit)
        for part in (slice(0, 32), slice(32, 40)):
            update(tf.constant(labels[part, None]), tf.constant(trains[part]))
        np.testing.assert_allclose(metric.result(), expected.mean(), rtol=FLOAT32)
        metric.reset_state()
        assert metric.result() == 0


@pytest.mark.parametrize("name", METRICS)
def test_labels_of_any_kind_weights_and_empty_batches(name):
    trains, labels = spike_trains((12, 3, 2), silent=0.4).astype("float32"), np.arange(12) % 3
    expected, weights = oracle(name, labels, trains), np.arange(12.0)
    for kind in ("uint8", "int64", "float32"):
        metric = METRICS[name](dtype="float64")
        metric.update_state(labels.astype(kind), trains, sample_weight=weights)
        metric.update_state(labels[:0].astype(kind), trains[:0])
        np.testing.assert_allclose(metric.result(), np.sum(expected * weights) / weights.sum(), rtol=FLOAT32)


@pytest.mark.parametrize("name", ["count", "first", "decay"])
def test_silence_is_no_answer(name):
    metric = METRICS[name]()
    metric.update_state([0, 1], np.full((2, 2, 3), INF))
    assert metric.result() == 0


def test_silent_labels():
    metric = SilentLabels()
    metric.update_state([0, 1, 2], np.array([[[0.1], [INF], [INF]]] * 3))
    np.testing.assert_allclose(metric.result(), 2 / 3, rtol=FLOAT32)


@pytest.mark.parametrize("name", METRICS)
def test_configuration_round_trip(name):
    for metric in (METRICS[name](), METRICS[name](name="mine", dtype="float64")):
        saved = json.loads(json.dumps(keras.saving.serialize_keras_object(metric)))
        loaded = keras.saving.deserialize_keras_object(saved)
        assert type(loaded) is type(metric) and loaded.get_config() == metric.get_config()


def test_names_in_the_logs():
    assert [METRICS[name]().name for name in METRICS] == [
        "count_accuracy", "first_spike_accuracy", "decay_accuracy", "silent_labels",
    ]  # fmt: skip


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"rate > 0, finite\. Received: rate=0"):
        DecayAccuracy(0)
    with pytest.raises(ValueError, match=r"Expected labels \(batch,\), \(batch, 1\) or one-hot"):
        CountAccuracy().update_state(np.zeros((3, 5)), spike_trains((3, 4, 2)))


def test_two_replicas_measure_and_train_as_one():
    done = subprocess.run([sys.executable, "-c", REPLICAS], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    both, one = json.loads(done.stdout.splitlines()[-1])
    assert set(both) == {"loss", "count_accuracy", "first_spike_accuracy", "silent_labels", "delays"}
    for key in both:
        np.testing.assert_allclose(both[key], one[key], rtol=FLOAT32)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("slots", [1, 3])
def test_labels_may_be_one_hot(name, slots):
    trains, labels = spike_trains((12, 3, slots), silent=0.4), np.arange(12) % 3
    metric = METRICS[name]()
    metric.update_state(np.eye(3)[labels], trains)
    np.testing.assert_allclose(metric.result(), oracle(name, labels, trains).mean(), rtol=FLOAT32)


@pytest.mark.parametrize("slots", [1, 3])
def test_keras_trains_and_measures_with_labels_of_every_form(slots):
    trains, labels = spike_trains((12, 3, slots), silent=0.4).astype("float32"), np.arange(12) % 3
    inputs = keras.Input((3, slots))
    results = []
    for form in (labels, labels[:, None], np.eye(3)[labels]):
        model = keras.Model(inputs, AxonalDelay()(inputs))
        model.compile(
            keras.optimizers.SGD(0.1), SpikeTime(0.5, 0.9, 1.0), metrics=[make() for make in METRICS.values()]
        )
        model.fit(trains, form, verbose=0, epochs=2, shuffle=False)
        results.append(model.evaluate(trains, form, verbose=0))
    np.testing.assert_allclose(results[1:], results[:1] * 2, rtol=FLOAT32)
