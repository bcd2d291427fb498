import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.bats.harness import spike_trains
from tests.tolerances import FLOAT32
from ttfs_keras import bats
from ttfs_keras.bats.monitor import SpikeMonitor


def values(monitor):
    return {name: float(value) for name, value in monitor.result().items()}


@pytest.mark.parametrize("neurons", [(4,), (2, 3, 4)])
@pytest.mark.parametrize("wrap", [lambda f: f, tf.function], ids=["eager", "graph"])
def test_batches_of_any_size_add_up(neurons, wrap):
    counts = np.random.default_rng(0).integers(0, 3, (20, *neurons)).astype("int32")
    counts[..., 0] = 0
    monitor = SpikeMonitor("hidden", int(np.prod(neurons)))
    update = wrap(monitor.update_state)
    for part, overflow in ((slice(0, 12), 5), (slice(12, 20), 4), (slice(0, 0), 0)):
        update(tf.constant(counts[part]), tf.constant(overflow, tf.int64))
    silent = np.mean(counts.sum(0) == 0)
    assert silent > 0
    expected = {"hidden_spikes": counts.sum() / 20, "hidden_silent": silent, "hidden_overflow": 9 / 20}
    assert values(monitor) == pytest.approx(expected, rel=FLOAT32)
    np.testing.assert_array_equal(monitor.silent(), counts.sum(0).ravel() == 0)
    monitor.reset_state()
    assert values(monitor) == {"hidden_spikes": 0, "hidden_silent": 1, "hidden_overflow": 0}


def test_the_counts_of_a_large_epoch_are_exact():
    """60,000 samples of 30 spikes each: more than a float of half the size could hold."""
    monitor = SpikeMonitor("a", 2)
    for _ in range(60):
        monitor.update_state(tf.fill((1000, 2), 30), tf.constant(2000, tf.int64))
    monitor.update_state(tf.constant([[1, 0]]), tf.constant(0, tf.int64))
    assert float(monitor.totals[0]) == 60 * 1000 * 30 + 1
    assert values(monitor)["a_overflow"] == pytest.approx(120_000 / 60_001, rel=1e-6)


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5, 2))
    x = bats.BATSDense(6, threshold=0.03, max_spikes=2, name="hidden")(inputs)
    model = keras.Model(inputs, bats.BATSDense(3, threshold=0.05, max_spikes=3, name="output")(x))
    model.compile(keras.optimizers.SGD(0.0), bats.losses.SpikeCount(3, 1))
    return model


def measured(model, trains):
    """Return what the monitors should say, from the trains of each layer."""
    result, times = {}, trains.astype("float32")
    for layer in model.layers[1:]:
        # Room for what the layer itself has to drop.
        kernel = np.asarray(layer.kernel)
        counts = bats.dense(times, kernel, 0.13, layer.threshold, max_spikes=60)[1].numpy()
        kept = np.minimum(counts, layer.max_spikes)
        result |= {
            f"{layer.name}_spikes": kept.sum() / len(trains),
            f"{layer.name}_silent": np.mean(kept.sum(0) == 0),
            f"{layer.name}_overflow": np.sum(counts > layer.max_spikes) / len(trains),
        }
        times = layer(times).numpy()
    return result


def test_fit_and_evaluate_report_each_epoch_on_its_own(network):
    train, test = spike_trains((20, 5, 2)), spike_trains((9, 5, 2), seed=1)
    history = network.fit(
        train, np.zeros(20), batch_size=8, epochs=2, validation_data=(test, np.zeros(9)), validation_batch_size=4,
        verbose=0,
    ).history  # fmt: skip
    expected = measured(network, train) | {f"val_{name}": value for name, value in measured(network, test).items()}
    assert expected["hidden_spikes"] > 0 and expected["hidden_overflow"] > 0
    for epoch in range(2):
        assert {name: history[name][epoch] for name in expected} == pytest.approx(expected, rel=FLOAT32)
    evaluated = network.evaluate(test, np.zeros(9), verbose=0, return_dict=True)
    assert {f"val_{name}": evaluated[name] for name in measured(network, test)} == pytest.approx(
        {name: value for name, value in expected.items() if name.startswith("val_")}, rel=FLOAT32
    )


def test_a_loaded_model_counts_from_0(network, tmp_path):
    network(spike_trains((4, 5, 2)))
    network.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert values(network.layers[1].monitor)["hidden_spikes"] > 0
    assert values(loaded.layers[1].monitor)["hidden_spikes"] == 0
    assert len(loaded.trainable_weights) == 2 and not loaded.non_trainable_weights
