import keras
import numpy as np
import pytest

from ttfs_keras import ConfigurationError
from ttfs_keras.bats import MaximumPotential, losses, metrics
from ttfs_keras.training.experiments import BATS, experiment

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
    assert {name for name, _ in TABLE} | {"yin_yang", "yin_yang_multi", "maximum_potential"} == set(BATS)


@pytest.mark.parametrize("key", TABLE, ids="-".join)
def test_networks_and_settings_are_the_tables(key):
    row, read_out = TABLE[key]
    found = experiment("BATS", *key)
    keras.utils.set_random_seed(0)
    model = found.network((28, 28, 1), row["units"][-1], recovery=found.recovery)
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
    schedule = found.schedule(found.lr, 7, found.epochs)
    assert (found.lr, schedule.factor, schedule.minimum) == row["lr"]
    assert schedule.initial == found.lr and schedule.every == 70  # the steps of ten epochs
    assert (found.epochs, found.batch_size, found.test_batch_size) == (row["epochs"], *row["batch"])
    assert found.elastic == (key[0] == "conv") and found.recovery == 1.0
    optimizer = found.optimizer(schedule)
    assert type(optimizer) is keras.optimizers.Adam and optimizer.epsilon == pytest.approx(1e-8 * 0.001**0.5)
    loss = found.loss("float32")
    if row["loss"] == "count":
        assert type(loss) is losses.SpikeCount and (loss.target_true, loss.target_false) == row["targets"]
    elif row["loss"] == "ttfs":
        assert type(loss) is losses.TTFSSoftmaxCrossEntropy and loss.tau == 0.005
        assert loss.silent_time == row["T"]
    else:
        assert type(loss) is losses.Decay and (loss.rate, loss.target_true, loss.target_false) == (6, 10, 0.7)
    accuracy = found.accuracy()
    assert type(accuracy) is ACCURACIES[read_out] and accuracy.name == "accuracy"
    assert model.output_shape == (None, row["units"][-1], row["K"][-1])


@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, "float32") for name in BATS), ("single_spike", "float64"), ("conv", "float64")]
)
def test_every_experiment_trains_a_step_and_is_saved(name, dtype, tmp_path):
    found = experiment("BATS", f"my_{name.upper()}_2", "MNIST")
    assert found is BATS[name]
    keras.utils.set_random_seed(0)
    model = found.network((14, 14, 1) if name != "conv" else (18, 18, 1), 3, dtype=dtype, recovery=found.recovery)
    model.compile(
        keras.optimizers.Adam(found.lr), found.loss(dtype), metrics=[found.accuracy() if found.accuracy else "accuracy"]
    )
    images = np.random.default_rng(0).uniform(size=(4, *model.input_shape[1:]))
    history = model.fit(images, np.arange(4) % 3, verbose=0).history
    assert np.isfinite(history["loss"]).all() and 0 <= history["accuracy"][0] <= 1
    assert all(np.isfinite(np.asarray(weight)).all() for weight in model.weights)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images), model(images))
    assert model.output.dtype == dtype


@pytest.mark.parametrize(("name", "spikes"), [("yin_yang", 1), ("yin_yang_multi", 10)])
def test_yin_yang(name, spikes):
    found = experiment("BATS", name, "YINYANG")
    assert (found.batch_size, found.lr, found.recovery) == (50, 0.005, 1.0)
    schedule = found.schedule(found.lr, 100, found.epochs)
    rates = [float(schedule(100 * found.epochs * share)) for share in (0, 0.5, 1)]
    assert rates == pytest.approx([0.005, 0.0025, 0])
    model = found.network((1, 4, 1), 3, recovery=found.recovery)
    hidden, output = model.get_layer("hidden_1"), model.get_layer("output")
    assert (hidden.kernel.shape, output.kernel.shape) == ((4 + 1, 120), (120, 3))
    assert (hidden.recovery.strength, output.recovery.strength) == (0.01, 1.0)
    points = np.array([0.25, 0.5, 0.75, 1.0]).reshape(1, 1, 4, 1)
    trains = keras.Model(model.input, model.get_layer("bias").output)(points)
    np.testing.assert_allclose(trains[0, :, 0], [0.195, 0.13, 0.065, 0, 0], rtol=1e-6)
    assert model.output_shape == (None, 3, spikes) and hidden.max_spikes == spikes
    for layer in (hidden, output):
        assert (layer.threshold, layer.simulation_time) == (0.13, 0.6) and layer.min_slope > 0
    loss = found.loss("float32")
    assert type(loss) is losses.TTFSSoftmaxCrossEntropy and loss.silent_time == 0.6
    assert type(found.accuracy()) is metrics.FirstSpikeAccuracy


def test_maximum_potential():
    found = experiment("BATS", "maximum_potential", "MNIST")
    model = found.network((28, 28, 1), 10, recovery=found.recovery)
    assert [layer.kernel.shape for layer in model.layers if hasattr(layer, "kernel")] == [(784, 800), (800, 10)]
    assert type(model.layers[-1]) is MaximumPotential and model.output_shape == (None, 10)
    assert found.loss("float32").from_logits and found.accuracy is None and found.recovery is None


@pytest.mark.parametrize("name", ["FC2", "count", "", "train_decay_eval_ttfs", "spike_counter", "myconv"])
def test_an_unknown_bats_name_lists_the_known_ones(name):
    with pytest.raises(ConfigurationError) as error:
        experiment("BATS", name, "MNIST")
    assert all(known in str(error.value) for known in BATS) and repr(name) in str(error.value)


def test_a_longer_name_wins():
    assert experiment("BATS", "train_count_eval_ttfs_spike_count", "MNIST") is BATS["train_count_eval_ttfs"]


def first_optimizer(model_name, rate=None):
    """Return (experiment, optimizer) of a ReLU network at a rate or, by default, its own."""
    found = experiment("ReLU", model_name, "MNIST")
    return found, found.optimizer(found.schedule(rate or found.lr, 100, found.epochs))


@pytest.mark.parametrize("name", ["FC2", "FC2_BN", "VGG_BN", "vgg_bn", "VGG_x_BN", "custom", "custom_BN", "ResNet9_BN"])
@pytest.mark.parametrize("rate", [None, 0.01])
def test_adam_with_decay(name, rate):
    found, chosen = first_optimizer(name, rate)
    assert type(chosen) is keras.optimizers.Adam
    assert (found.lr, found.epochs, found.batch_size, found.patience) == (5e-4, 20, 8, 0)
    schedule = chosen._learning_rate
    for step, factor in ((0, 1), (5000, 0.9), (10000, 0.81)):
        assert float(schedule(step)) == pytest.approx((rate or 5e-4) * factor, rel=1e-6)


@pytest.mark.parametrize("name", ["VGG_example", "VGG_SUBNET"])
@pytest.mark.parametrize("rate", [None, 0.3])
def test_momentum_for_vgg_without_batch_norm(name, rate):
    _, chosen = first_optimizer(name, rate)
    assert type(chosen) is keras.optimizers.SGD and chosen.momentum == 0.9
    assert float(chosen.learning_rate) == pytest.approx(rate or 1e-3)


@pytest.mark.parametrize("name", ["FC2", "FC2_BN_x"])
def test_the_network_is_the_names(name):
    model = experiment("SNN", name, "MNIST").network((4, 4, 1), 3, units=6, depth=3)
    assert model.output_shape == (None, 3)
    assert any("norm" in layer.name for layer in model.layers) == ("BN" in name)


def test_a_custom_network_is_only_loaded():
    with pytest.raises(ConfigurationError, match="can only be loaded"):
        experiment("SNN", "custom", "MNIST").network((4, 4, 1), 3)


@pytest.mark.parametrize("name", ["ResNet9", "my_resnet19"])
def test_directly_trained_networks(name):
    found = experiment("STBP", name, "MNIST")
    assert (found.lr, found.epochs, found.batch_size, found.patience) == (0.001, 11, 64, 7)
    schedule = found.schedule(0.001, 5, found.epochs)
    assert [float(schedule(step)) for step in (49, 50)] == pytest.approx([1e-3, 1e-4])
    assert type(found.optimizer(schedule)) is keras.optimizers.Adam
    assert found.loss("float32").from_logits


@pytest.mark.parametrize("model_type", ["SNN", "ReLU", "BATS", "STBP"])
def test_an_unknown_name_is_refused(model_type):
    with pytest.raises(ConfigurationError, match=r"model_name: expected a name with .* Received: 'LeNet'"):
        experiment(model_type, "LeNet", "MNIST")
