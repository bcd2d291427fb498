import dataclasses
import math
from pathlib import Path

import pytest

from ttfs_keras import ConfigurationError
from ttfs_keras.training.configuration import Configuration


def test_the_default_is_valid():
    Configuration().validate()


def test_all_problems_are_listed_at_once():
    wrong = {
        "model_name": "LeNet", "data_name": "SVHN", "batch_size": 0, "epochs": -1, "lr": 0.0,
        "noise": -1.0, "time_bits": -1, "weight_bits": 25, "w_min": 0.5, "w_max": 0.4, "latency_quantiles": 1.5,
        "margin": -0.1, "units": 0, "depth": 0, "train_samples": 0, "test_samples": 0, "dtype": "int8", "seed": -1,
        "load": "no-such-file.keras",
    }  # fmt: skip
    with pytest.raises(ConfigurationError) as error:
        Configuration(**wrong).validate()
    for name, value in wrong.items():
        assert any(line.strip().startswith(f"{name}: ") for line in str(error.value).splitlines()), name
        assert str(value) in str(error.value)


def test_an_unknown_model_type_is_refused():
    with pytest.raises(ConfigurationError, match=r"model_type: expected one of .*BATS.*Received: 'ANN'"):
        Configuration(model_type="ANN").validate()


@pytest.mark.parametrize(
    ("model_type", "model_name", "settings"),
    [
        ("SNN", "FC2", {"batch_size": 8, "epochs": 20, "lr": 5e-4}),
        ("BATS", "spike_count", {"batch_size": 50, "epochs": 100, "lr": 0.003}),
        ("BATS", "my_single_spike_2", {"batch_size": 50, "epochs": 30, "lr": 0.002}),
    ],
)
def test_what_is_not_given_is_the_networks(model_type, model_name, settings):
    resolved = Configuration(model_type=model_type, model_name=model_name).resolved()
    assert {name: getattr(resolved, name) for name in settings} == settings
    assert Configuration(model_type=model_type, model_name=model_name, epochs=3).resolved().epochs == 3


def test_a_relu_run_takes_no_hardware_flags():
    with pytest.raises(ConfigurationError, match="noise: expected none with model_type ReLU, it acts with SNN only"):
        Configuration(model_type="ReLU", noise=0.1).validate()


def test_of_sparsity_and_its_target_one_is_enough():
    both = [Configuration(**given).resolved() for given in ({"sparsity": 2.0}, {"target_spikes": 0.2}, {})]
    assert [(c.sparsity, c.target_spikes) for c in both] == [(2.0, 0.3), (5.0, 0.2), (None, None)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target_spikes": 1.5}, "target_spikes: expected 0 to 1, a neuron spikes at most once. Received: 1.5"),
        ({"target_spikes": -0.5}, "target_spikes: expected at least 0. Received: -0.5"),
        ({"sparsity": 0.0, "target_spikes": 0.3}, "sparsity: expected a strength above 0 with target_spikes"),
        ({"sparsity": 1.0, "epochs": 0}, "epochs: expected at least 1 with sparsity"),
        ({"target_spikes": 0.3, "epochs": 0}, "epochs: expected at least 1 with sparsity"),
        ({"model_type": "STBP", "model_name": "ResNet9", "sparsity": 1.0}, "it acts with SNN, ReLU only"),
    ],
)
def test_settings_of_sparsity_that_cannot_work(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        Configuration(**settings).validate()


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("name", ["lr", "recovery", "scaling"])
def test_numbers_are_finite(name, value):
    with pytest.raises(ConfigurationError, match=f"{name}: expected a finite number. Received: {value}"):
        Configuration(model_type="BATS", model_name="spike_count", **{name: value}).validate()


def test_a_bare_file_name_is_looked_up_in_the_logging_dir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    configuration = Configuration(logging_dir="logs", load="weights.h5")
    assert configuration.load_path == Path("logs/weights.h5")
    Path("weights.h5").touch()
    assert configuration.load_path == Path("weights.h5")


@pytest.mark.parametrize("value", ["False", "false", ""])
def test_load_false_loads_nothing(value):
    assert Configuration(load=value).load_path is None


def test_load_true_is_the_relu_model_of_the_run_folder():
    configuration = Configuration(load="True", data_name="MNIST", model_name="FC2_a")
    assert configuration.load_path == Path("logs/MNIST-FC2_a/ReLU.keras")


def test_every_flag_is_explained():
    assert all(item.metadata["help"] for item in dataclasses.fields(Configuration))


def test_every_flag_whose_default_is_the_networks_says_so():
    for item in dataclasses.fields(Configuration):
        assert ("default: " in item.metadata["help"]) == (item.default is None), item.name


def test_parts_of_the_name_say_whether_there_is_batch_norm():
    subnet, norm = (
        Configuration(model_name=name).experiment.network((4, 4, 1), 2) for name in ("FC2_SUBNET", "fc2_bn")
    )
    assert [any("norm" in layer.name for layer in model.layers) for model in (subnet, norm)] == [False, True]


def test_the_problems_of_a_network_are_in_the_same_error():
    with pytest.raises(ConfigurationError) as error:
        Configuration(model_type="STBP", model_name="LeNet", threshold=-1.0, validation=2.0, epochs=-1).validate()
    for text in ("ResNet19", "threshold > 0", "validation: ", "epochs: expected at least 0"):
        assert text in str(error.value)
