import dataclasses

import keras
import numpy as np
import pytest

from ttfs_keras import ConfigurationError
from ttfs_keras.bats import losses, metrics
from ttfs_keras.models import bats
from ttfs_keras.models.bats import EXPERIMENTS, bats_model, experiment

# Section 3 of the reference, row by row: units, theta, K, T, loss, targets, (lr, factor of decay, least lr), epochs,
# batches, range of the initial weights.
MNIST_COUNT = {
    "units": [800, 10], "theta": [0.2, 1.3], "K": [30, 30], "T": 0.2, "loss": "count", "targets": (15, 3),
    "lr": (0.003, 1, 0), "epochs": 100, "batch": (50, 100), "initial": (-1, 1),
}  # fmt: skip
MNIST_SINGLE = {
    "units": [800, 10], "theta": [0.7, 2.0], "K": [1, 1], "T": 1.0, "loss": "ttfs",
    "lr": (0.002, 1, 0), "epochs": 30, "batch": (50, 100), "initial": (0, 1),
}  # fmt: skip
MNIST_CONV = {
    "units": [15, 40, 300, 10], "theta": [0.04, 0.8, 0.6, 0.3], "K": [1, 3, 10, 30], "T": 0.2, "loss": "count",
    "targets": (30, 3), "lr": (0.003, 0.5, 1e-4), "epochs": 100, "batch": (20, 50), "initial": (-1, 1),
}  # fmt: skip
FASHION = {
    "units": [400, 400, 10], "theta": [0.13, 0.45, 0.7], "K": [5, 5, 20], "T": 0.2, "loss": "count",
    "targets": (15, 3), "lr": (0.0005, 0.5, 1e-4), "epochs": 100, "batch": (5, 100), "initial": (-1, 1),
}  # fmt: skip
TTFS_MULTI = {**MNIST_SINGLE, "K": [30, 30]}
TABLE = {
    ("single_spike", "MNIST"): (MNIST_SINGLE, "ttfs"),
    ("spike_count", "MNIST"): (MNIST_COUNT, "count"),
    ("conv", "MNIST"): (MNIST_CONV, "count"),
    ("spike_count", "EMNIST"): ({**MNIST_COUNT, "units": [800, 47], "lr": (0.003, 1, 1e-4)}, "count"),
    ("spike_count", "FMNIST"): (FASHION, "count"),
    ("train_count_eval_count", "MNIST"): (MNIST_COUNT, "count"),
    ("train_count_eval_ttfs", "MNIST"): (MNIST_COUNT, "ttfs"),
    ("train_ttfs_eval_ttfs", "MNIST"): (TTFS_MULTI, "ttfs"),
    ("train_ttfs_eval_count", "MNIST"): (TTFS_MULTI, "count"),
    ("train_ttfs_eval_count", "DIGITS"): ({**TTFS_MULTI, "T": 0.2, "initial": (0, 0.3)}, "count"),
    ("train_decay_eval_decay", "MNIST"): ({**MNIST_COUNT, "loss": "decay"}, "decay"),
}
ACCURACIES = {"count": metrics.CountAccuracy, "ttfs": metrics.FirstSpikeAccuracy, "decay": metrics.DecayAccuracy}


def test_the_table_has_every_experiment():
    assert {name for name, _ in TABLE} == set(EXPERIMENTS)


@pytest.mark.parametrize("key", TABLE, ids="-".join)
def test_networks_and_settings_are_the_tables(key):
    row, read_out = TABLE[key]
    found = experiment(*key)
    keras.utils.set_random_seed(0)
    model = bats_model(found, (28, 28, 1), row["units"][-1])
    layers = [layer for layer in model.layers if hasattr(layer, "max_spikes")]
    assert [layer.kernel.shape[-1] for layer in layers] == row["units"]
    assert [layer.threshold for layer in layers] == row["theta"] == [layer.delta_threshold for layer in layers]
    assert [layer.max_spikes for layer in layers] == row["K"]
    assert {layer.tau_s for layer in layers} == {0.13}
    assert {layer.simulation_time for layer in layers} == {row["T"]}
    low, high = row["initial"]
    for layer in layers:
        weights = np.asarray(layer.kernel)
        assert low <= weights.min() < low + 0.05 and high - 0.05 < weights.max() <= high
    assert (found.lr, found.lr_decay, found.lr_minimum) == row["lr"]
    assert (found.epochs, found.batch_size, found.test_batch_size) == (row["epochs"], *row["batch"])
    assert found.elastic == (key[0] == "conv")
    loss = bats.loss(found)
    if row["loss"] == "count":
        assert type(loss) is losses.SpikeCount and (loss.target_true, loss.target_false) == row["targets"]
    elif row["loss"] == "ttfs":
        assert type(loss) is losses.TTFSSoftmaxCrossEntropy and loss.tau == 0.005
        assert loss.silent_time == row["T"]
    else:
        assert type(loss) is losses.Decay and (loss.rate, loss.target_true, loss.target_false) == (6, 10, 0.7)
    accuracy = bats.accuracy(found)
    assert type(accuracy) is ACCURACIES[read_out] and accuracy.name == "accuracy"
    assert model.output_shape == (None, row["units"][-1], row["K"][-1])


def test_the_convolutional_network():
    model = bats_model(EXPERIMENTS["conv"], (28, 28, 1), 10)
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers[1:]}
    assert shapes == {
        "encoder": (28, 28, 1, 1),
        "conv_1": (24, 24, 15, 1),
        "pool_1": (12, 12, 15, 4),
        "conv_2": (8, 8, 40, 3),
        "pool_2": (4, 4, 40, 12),
        "flatten": (640, 12),
        "hidden_3": (300, 10),
        "output": (10, 30),
    }


def test_pixels_are_spikes_within_a_tenth_of_a_second():
    model = bats_model(EXPERIMENTS["spike_count"], (28, 28, 1), 10, input_range=(0.0, 255.0))
    pixels = np.array([0, 51, 255.0])
    times = model.get_layer("encoder")(np.tile(pixels[:, None, None, None], (1, 28, 28, 1)))[:, 0, 0, 0, 0]
    np.testing.assert_allclose(times, [np.inf, 0.1 * (1 - 51 / 255), 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, "float32") for name in EXPERIMENTS), ("single_spike", "float64"), ("conv", "float64")]
)
def test_every_experiment_trains_a_step_and_is_saved(name, dtype, tmp_path):
    found = experiment(f"my_{name.upper()}_2", "MNIST")
    assert found is EXPERIMENTS[name]
    keras.utils.set_random_seed(0)
    model = bats_model(found, (14, 14, 1) if name != "conv" else (18, 18, 1), 3, dtype=dtype)
    model.compile(keras.optimizers.Adam(found.lr), bats.loss(found, dtype), metrics=[bats.accuracy(found)])
    images = np.random.default_rng(0).uniform(size=(4, *model.input_shape[1:]))
    history = model.fit(images, np.arange(4) % 3, verbose=0).history
    assert np.isfinite(history["loss"]).all() and 0 <= history["accuracy"][0] <= 1
    assert all(np.isfinite(np.asarray(weight)).all() for weight in model.weights)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images), model(images))
    assert model.output.dtype == dtype


@pytest.mark.parametrize("strength", [0.0, 2.0])
def test_only_the_output_recovers_and_only_where_asked_for(strength):
    for found in EXPERIMENTS.values():
        assert found.recovery == 1.0
        model = bats_model(dataclasses.replace(found, recovery=strength), (28, 28, 1), 10)
        layers = [layer for layer in model.layers if hasattr(layer, "recovery")]
        assert all(layer.recovery is None for layer in layers[:-1])
        assert getattr(layers[-1].recovery, "strength", 0.0) == strength


@pytest.mark.parametrize("name", ["FC2", "count", "", "train_decay_eval_ttfs"])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(ConfigurationError) as error:
        experiment(name, "MNIST")
    assert all(known in str(error.value) for known in EXPERIMENTS) and repr(name) in str(error.value)
