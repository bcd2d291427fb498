import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from tests import tolerances
from tests.files.limits import file_size
from tests.training.interruption import whole_and_resumed
from ttfs_keras import ConfigurationError, WeightsError
from ttfs_keras.data import load
from ttfs_keras.plots import read_metrics
from ttfs_keras.training import run as run_module
from ttfs_keras.training.configuration import Configuration
from ttfs_keras.training.run import run

ROOT = Path(__file__).parents[2]
SMALL = {"units": 32, "train_samples": 256, "test_samples": 64, "batch_size": 32}


def trained(folder, **settings):
    configuration = Configuration(logging_dir=str(folder), **SMALL | settings)
    return configuration.folder, run(configuration)


def weights(folder, name="SNN.keras"):
    return [np.asarray(v) for v in keras.saving.load_model(folder / name).variables]


def test_the_run_folder_is_complete(tmp_path):
    folder, card = trained(tmp_path, epochs=2, save=True)
    assert json.loads((folder / "card.json").read_text()) == card
    assert {
        "accuracy",
        "agreement",
        "max_abs_error",
        "spikes_per_neuron",
        "latency",
        "seconds",
        "versions",
        "seed",
    } <= set(card)
    metrics = read_metrics(folder / "metrics.csv")
    assert metrics["epoch"] == [1, 2]
    assert {"loss", "accuracy", "learning_rate", "seconds", "window/dense_1"} <= set(metrics)
    assert metrics["loss"][1] < metrics["loss"][0]
    for name in ("flags.txt", "environment.json", "run.log", "windows.json", "best.weights.h5", "SNN.keras"):
        assert (folder / name).stat().st_size or name == "flags.txt", name
    plots = {path.name for path in (folder / "plots").iterdir()}
    assert plots == {"training_curves.png", "spike_times.png", "raster.png", "spikes_per_neuron.png"}


@pytest.mark.parametrize("name", ["FC2", "FC2_BN"])
def test_a_saved_relu_model_becomes_an_equal_snn(tmp_path, name):
    _, relu = trained(tmp_path, model_type="ReLU", model_name=name, epochs=2, save=True, dtype="float64")
    _, snn = trained(tmp_path, model_type="SNN", model_name=name, epochs=0, load="True", dtype="float64")
    assert snn["accuracy"] == relu["accuracy"]
    assert snn["agreement"] == 1.0
    assert snn["max_abs_error"] <= tolerances.FLOAT64
    assert snn["spikes_per_neuron"] < 1


@pytest.mark.parametrize(("model_type", "target"), [("ReLU", 0.3), ("SNN", 0.2)])
def test_sparsity_brings_spikes_down_to_the_target(tmp_path, model_type, target):
    settings = {"units": 64, "epochs": 8, "lr": 1e-3, "save": True, "train_samples": None}
    folder, card = trained(tmp_path, model_type=model_type, target_spikes=target, **settings)
    rates = read_metrics(folder / "metrics.csv")["spikes_per_neuron"]
    assert abs(rates[-1] - target) <= 0.02
    assert card["target_spikes"] == target and card["sparsity"] > 0
    if model_type == "ReLU":
        _, card = trained(tmp_path, epochs=0, load="True", units=64)
    assert abs(card["spikes_per_neuron"] - target) <= 0.03  # few test images
    # What is saved is the network alone: the next run has the penalty that it is given.
    assert type(keras.saving.load_model(folder / f"{model_type}.keras")) is type(keras.Model(*[keras.Input((1,))] * 2))


def test_a_resumed_sparse_run_equals_the_uninterrupted_one(tmp_path):
    settings = {"epochs": 2, "save": True, "sparsity": 3.0}
    (whole, expected), (cut, received) = whole_and_resumed(trained, tmp_path, "write_json", 2, **settings)
    assert expected["spikes_per_neuron"] == received["spikes_per_neuron"]
    assert all(np.array_equal(a, b) for a, b in zip(weights(whole), weights(cut), strict=True))


def test_sparsity_needs_neurons(tmp_path):
    with pytest.raises(ConfigurationError, match="sparsity: sparsify: expected a model with TTFS neurons or ReLU"):
        trained(tmp_path, model_type="ReLU", depth=1, epochs=1, sparsity=1.0)


def test_fine_tuning_starts_from_the_relu_accuracy(tmp_path):
    _, relu = trained(tmp_path, model_type="ReLU", epochs=2, save=True)
    _, snn = trained(tmp_path, epochs=1, load="True")
    assert snn["accuracy_before"] == relu["accuracy"] and snn["agreement_before"] == 1.0


def test_any_keras_model_can_be_mapped_from_its_file(tmp_path):
    inputs = keras.Input((28, 28, 1))
    x = keras.layers.Conv2D(4, 3, strides=4, activation="relu")(inputs)
    y = keras.layers.Conv2D(4, 3, padding="same")(x)
    x = keras.layers.ReLU()(keras.layers.Add()([x, keras.layers.BatchNormalization()(y)]))
    model = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))
    model.save(tmp_path / "model.keras")
    folder, card = trained(tmp_path, model_name="custom", load="model.keras", epochs=1, save=True)
    assert card["agreement_before"] == 1.0
    assert json.loads((folder / "certificate.json").read_text())["passed"]
    assert (folder / "SNN.keras").exists() and (folder / "plots" / "layer_errors.png").exists()


@pytest.mark.parametrize("load", ["False", "weights.h5"])
def test_a_custom_model_needs_its_file(load):
    with pytest.raises(ConfigurationError, match=r"load: expected the \.keras file of the custom model"):
        Configuration(model_name="custom", load=load).validate()


def test_a_vgg_runs(tmp_path):
    _, card = trained(tmp_path, model_name="VGG_BN", epochs=1, train_samples=8, test_samples=4, batch_size=4)
    assert len(card["layers"]) == 1 + 13 + 2 and np.isfinite(card["latency"])


def test_no_noise_and_no_bits_are_the_unperturbed_network(tmp_path):
    plain = weights(trained(tmp_path / "a", epochs=1, save=True)[0])
    zero = weights(trained(tmp_path / "b", epochs=1, save=True, noise=0.0, time_bits=0, weight_bits=0)[0])
    assert all(np.array_equal(a, b) for a, b in zip(plain, zero, strict=True))


def test_the_flags_act(tmp_path):
    folder, card = trained(tmp_path, epochs=1, save=True, noise=0.01, time_bits=4, weight_bits=4, latency_quantiles=0.9)
    layer = keras.saving.load_model(folder / "SNN.keras").get_layer("dense_1")
    names = [type(item).__name__ for item in layer.perturbations]
    assert names == ["WeightQuantization", "SpikeTimeJitter", "TimeQuantization"]
    assert type(layer.neuron.window_rule).__name__ == "TrackQuantile"
    _, wide = trained(tmp_path / "wide", epochs=1)
    assert card["latency"] < wide["latency"]


@pytest.mark.parametrize("moment", ["write_metrics", "write_json"])
def test_a_crash_at_any_moment_then_resume_equals_the_uninterrupted_run(tmp_path, moment):
    settings = {"epochs": 4, "save": True, "noise": 0.02, "train_samples": 250}
    (whole, expected), (cut, received) = whole_and_resumed(trained, tmp_path, moment, 3, **settings)
    assert all(np.array_equal(a, b) for a, b in zip(weights(whole), weights(cut), strict=True))
    assert received["accuracy"] == expected["accuracy"]
    losses = [read_metrics(folder / "metrics.csv")["loss"] for folder in (whole, cut)]
    assert losses[0] == losses[1] and len(losses[0]) == 4


def test_a_disk_that_fills_keeps_the_last_good_state(tmp_path):
    settings = {"units": 64, "noise": 0.02}
    folder, _ = trained(tmp_path, epochs=1, **settings)
    before = {name: (folder / name).read_bytes() for name in ("state.keras", "best.weights.h5")}
    with file_size(50_000), pytest.raises(OSError, match=r"File too large: '.*best\.weights\.h5'"):
        trained(tmp_path, epochs=2, resume=True, **settings)
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert [path.name for path in folder.glob(".*")] == [".lock"]
    trained(tmp_path, epochs=2, resume=True, **settings)
    assert read_metrics(folder / "metrics.csv")["epoch"] == [1, 2]


def test_a_log_that_cannot_be_written_ends_the_run(tmp_path):
    trained(tmp_path, epochs=0)
    with file_size(10), pytest.raises(OSError, match=r"File too large: '.*(flags\.txt|run\.log|environment\.json)'"):
        trained(tmp_path, epochs=0, resume=True)
    with run_module._logged(tmp_path / "run.log"), file_size(10), pytest.raises(OSError, match=r"'.*run\.log'"):
        run_module.logger.info("more than ten bytes")


def test_a_killed_process_resumes_to_the_same_result(tmp_path):
    flags = [f"--logging_dir={tmp_path / 'cut'}", "--units=32", "--epochs=12", "--save=True", "--noise=0.02"]
    command = [sys.executable, str(ROOT / "main.py"), *flags]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    state = tmp_path / "cut" / "DIGITS-FC2" / "state.json"
    deadline = time.monotonic() + 120
    while not (state.exists() and len(json.loads(state.read_text())) >= 2):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (state.parent / "card.json").exists()
    subprocess.run([*command, "--resume"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    configuration = Configuration(logging_dir=str(tmp_path / "whole"), units=32, epochs=12, save=True, noise=0.02)
    run(configuration)
    resumed, whole = weights(state.parent), weights(configuration.folder)
    assert all(np.array_equal(a, b) for a, b in zip(resumed, whole, strict=True))


def test_resume_of_a_finished_run_trains_no_more(tmp_path):
    folder, first = trained(tmp_path, epochs=1, save=True)
    before = weights(folder)
    _, second = trained(tmp_path, epochs=1, save=True, resume=True)
    assert second["accuracy"] == first["accuracy"]
    assert all(np.array_equal(a, b) for a, b in zip(before, weights(folder), strict=True))


def broken_models(folder):
    """Write model files that must be refused; return {name: part of the message}."""
    trained(folder, model_type="ReLU", epochs=0, save=True)
    path = folder / "DIGITS-FC2" / "ReLU.keras"
    (folder / "truncated.keras").write_bytes(path.read_bytes()[:2000])
    model = keras.saving.load_model(path)
    model.save_weights(folder / "good.weights.h5")
    (folder / "truncated.weights.h5").write_bytes((folder / "good.weights.h5").read_bytes()[:2000])
    model.layers[-1].bias.assign([np.nan] * 10)
    model.save(folder / "nan.keras")
    other = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    other.save(folder / "mismatched.keras")
    other.save_weights(folder / "mismatched.weights.h5")
    return {
        "truncated.keras": "expected a model saved by Keras 3",
        "truncated.weights.h5": "expected weights of FC2",
        "nan.keras": "expected finite weights. Received: NaN or infinity in readout/bias",
        "mismatched.keras": r"expected input and output shapes .*28, 28, 1.*Received: .*8, 8, 1",
        "mismatched.weights.h5": "expected weights of FC2",
        "good.weights.h5": None,
    }


@pytest.mark.parametrize("form", ["Sequential", "dict"])
def test_a_model_without_neurons_is_mapped_and_trained(tmp_path, form):
    inputs = keras.Input((28, 28, 1))
    logits = keras.layers.Dense(10)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, {"logits": logits})
    if form == "Sequential":
        model = keras.Sequential([inputs, keras.layers.Flatten(), keras.layers.Dense(10)])
    model.save(tmp_path / "linear.keras")
    folder, card = trained(tmp_path, model_name="custom", load="linear.keras", epochs=1)
    assert card["agreement_before"] == 1.0 and card["spikes_per_neuron"] is None
    assert json.loads((folder / "card.json").read_text()) == card


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built:UserWarning")
def test_models_of_other_inputs_and_outputs_are_refused(tmp_path):
    inputs, more = keras.Input((28, 28, 1)), keras.Input((28, 28, 1))
    flat = keras.layers.Flatten()(inputs)
    outputs = [keras.layers.Dense(10)(flat), keras.layers.Dense(3)(flat)]
    models = {
        r"Received: .*\(None, 10\), \(None, 3\)": keras.Model(inputs, outputs),
        r"Received: .*1\), \(None, 28": keras.Model([inputs, more], keras.layers.Add()([outputs[0], outputs[0]])),
        "Sequential model that is built": keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)]),
    }
    for message, model in models.items():
        model.save(tmp_path / "custom.keras")
        with pytest.raises(WeightsError, match=f"custom.keras: .*{message}"):
            trained(tmp_path, model_name="custom", load="custom.keras", epochs=0)


def test_files_that_do_not_fit_are_refused_before_anything_is_written(tmp_path):
    for name, message in broken_models(tmp_path / "source").items():
        settings = {"load": str(tmp_path / "source" / name), "epochs": 0}
        if message is None:
            trained(tmp_path / name, **settings)
            continue
        with pytest.raises(WeightsError, match=message):
            trained(tmp_path / name, **settings)
        assert not list((tmp_path / name).glob("*/flags.txt"))


def test_pixels_outside_the_range_are_reported(tmp_path, monkeypatch, caplog):
    def shifted(*arguments):
        data = load(*arguments)
        x = data.x_test.copy()
        x[0, 0, 0, 0] = 1.5
        return dataclasses.replace(data, x_test=x)

    monkeypatch.setattr(run_module, "load", shifted)
    _, card = trained(tmp_path, epochs=0)
    assert "1 pixels outside the input range (0.0, 1.0) will be clipped" in caplog.text
    assert card["inputs_outside_range"] == 1
