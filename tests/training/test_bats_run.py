import csv
import json
import subprocess
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest
from absl import flags

from tests.training.interruption import whole_and_resumed
from ttfs_keras import ConfigurationError, WeightsError, plots
from ttfs_keras.bats import metrics
from ttfs_keras.command_line import define_flags
from ttfs_keras.data import load
from ttfs_keras.training import record
from ttfs_keras.training.configuration import Configuration
from ttfs_keras.training.folder import RunFolder
from ttfs_keras.training.recipes.bats import BATSRecipe
from ttfs_keras.training.run import run
from ttfs_keras.training.schedules import StepDecay

ROOT = Path(__file__).parents[2]
SMALL = {"model_type": "BATS", "model_name": "spike_count", "train_samples": 100, "test_samples": 40, "batch_size": 20}
LAYERS = ("hidden_1", "output")
MONITORS = {"loss", "accuracy", "silent_labels"} | {
    f"{layer}_{what}" for layer in LAYERS for what in ("spikes", "silent", "overflow")
}


def trained(folder, **settings):
    configuration = Configuration(logging_dir=str(folder), **SMALL | settings)
    return configuration.folder, run(configuration)


def rows_of(folder):
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def kernels(folder, name="BATS.keras"):
    return [np.asarray(w) for w in keras.saving.load_model(folder / name).trainable_variables]


@pytest.fixture(autouse=True)
def no_pictures_of_monitors(monkeypatch):
    """They are most of a short run's work; the run of `finished`, which comes first, draws them."""
    monkeypatch.setattr(plots, "monitor", lambda epochs, values, name, path: path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two epochs: its folder and card."""
    return trained(tmp_path_factory.mktemp("run"), epochs=2, save=True, lr=0.01)


def test_the_run_folder_is_complete(finished):
    folder, card = finished
    assert json.loads((folder / "card.json").read_text()) == card
    assert (card["latency"], card["latency_unit"], card["samples"], card["seed"]) == (0.2, "s", 40, 0)
    assert list(card["layers"]) == ["encoder", *LAYERS]
    rows = rows_of(folder)
    assert [row["epoch"] for row in rows] == [1, 2]
    columns = {"epoch", *MONITORS, *(f"val_{name}" for name in MONITORS), "learning_rate", "seconds"}
    assert set(rows[0]) == columns | {f"{layer}_norm" for layer in LAYERS}
    assert rows[1]["loss"] < rows[0]["loss"] and rows[0]["learning_rate"] == pytest.approx(0.01)
    for name in ("flags.txt", "environment.json", "run.log", "best.weights.h5", "BATS.keras", "state.json"):
        assert (folder / name).exists(), name
    pictures = {"training_curves", "raster_001", "raster_002", "raster", "counts_hidden_1", "counts_output"}
    assert {path.name for path in (folder / "plots").iterdir()} == {
        *(f"{name}.png" for name in pictures), "spikes_per_neuron.png",
    }  # fmt: skip


def test_every_monitor_is_written_as_numbers_and_as_a_picture(finished):
    folder, _ = finished
    rows = rows_of(folder)
    names = set(rows[0]) - {"epoch"}
    to = folder / "output_metrics"
    assert {path.name for path in to.iterdir()} == {f"{name}.{kind}" for name in names for kind in ("npz", "png")}
    for name in names:
        with np.load(to / f"{name}.npz") as arrays:
            assert arrays["epochs"].tolist() == [1, 2]
            np.testing.assert_allclose(arrays["values"], [row[name] for row in rows])
        assert (to / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_last_epoch_is_what_the_card_says(finished):
    folder, card = finished
    last = rows_of(folder)[-1]
    assert card["accuracy"] == pytest.approx(last["val_accuracy"])
    for layer, row in card["layers"].items():
        if layer != "encoder":
            assert last[f"val_{layer}_spikes"] == pytest.approx(row["spikes_per_neuron"] * row["neurons"], rel=1e-5)
            assert last[f"val_{layer}_silent"] == pytest.approx(row["silent_share"])
    for layer, kernel in zip(LAYERS, kernels(folder), strict=True):
        assert last[f"{layer}_norm"] == pytest.approx(np.linalg.norm(kernel), rel=1e-5)


def test_the_best_weights_load_back(finished, tmp_path):
    folder, _ = finished
    arrays = {path.name: np.load(path) for path in (folder / "best_model").iterdir()}
    assert {name: array.shape for name, array in arrays.items()} == {
        "hidden_1_weights.npy": (800, 784),
        "output_weights.npy": (10, 800),
    }
    best = max(row["val_accuracy"] for row in rows_of(folder))
    for name in ("best_model", "best.weights.h5"):
        again, card = trained(tmp_path / name, epochs=0, load=str(folder / name), save=True)
        assert card["accuracy"] == pytest.approx(best)
        np.testing.assert_array_equal(kernels(again)[0], arrays["hidden_1_weights.npy"].T)


def test_a_saved_model_goes_on_training(tmp_path):
    folder, card = trained(tmp_path, epochs=1, save=True)
    before = kernels(folder)
    again, more = trained(tmp_path, epochs=1, load="True", save=True)
    assert again == folder and more["accuracy_before"] == card["accuracy"]
    assert any((old != new).any() for old, new in zip(before, kernels(folder), strict=True))


# Elastic deformation, scaling and recovery must all go on where they stopped.
RUNS = {
    "spike_count": {"scaling": 0.1, "recovery": 2.0},
    "conv": {"train_samples": 12, "test_samples": 6, "batch_size": 6},
}


@pytest.mark.parametrize(("name", "moment"), [("spike_count", "write_json"), ("conv", "write_metrics")])
def test_an_interrupted_run_resumes_to_the_same_bits(tmp_path, name, moment):
    settings = {"model_name": name, "epochs": 2, "save": True, **RUNS[name]}
    (whole, expected), (cut, received) = whole_and_resumed(trained, tmp_path, moment, 2, **settings)
    assert received["accuracy"] == expected["accuracy"]
    for a, b in zip(kernels(whole), kernels(cut), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(rows_of(whole), rows_of(cut), strict=True):
        assert {n: v for n, v in a.items() if n != "seconds"} == {n: v for n, v in b.items() if n != "seconds"}
    for file in ("hidden_1", "output") if name != "conv" else ("conv_1", "output"):
        arrays = [np.load(folder / "best_model" / f"{file}_weights.npy") for folder in (whole, cut)]
        np.testing.assert_array_equal(*arrays)


@pytest.mark.parametrize(
    ("name", "read_out"),
    [
        ("train_count_eval_ttfs", metrics.FirstSpikeAccuracy),
        ("train_decay_eval_decay", metrics.DecayAccuracy),
        pytest.param("single_spike", metrics.FirstSpikeAccuracy, marks=pytest.mark.slow),
        pytest.param("train_count_eval_count", metrics.CountAccuracy, marks=pytest.mark.slow),
        pytest.param("train_ttfs_eval_ttfs", metrics.FirstSpikeAccuracy, marks=pytest.mark.slow),
        pytest.param("train_ttfs_eval_count", metrics.CountAccuracy, marks=pytest.mark.slow),
    ],
)
def test_the_six_crossings(tmp_path, name, read_out):
    folder, card = trained(tmp_path, model_name=f"crossing_{name}", epochs=1, train_samples=40, save=True)
    model = keras.saving.load_model(folder / "BATS.keras")
    data = load("DIGITS", None, 40, 40)
    metric = read_out()
    metric.update_state(data.y_test, model(data.x_test))
    assert card["accuracy"] == pytest.approx(float(metric.result()))
    assert np.isfinite(rows_of(folder)[0]["loss"])


def test_without_testing_the_training_images_are_measured(tmp_path):
    folder, card = trained(tmp_path, epochs=1, testing=False, scaling=0.1)
    rows = rows_of(folder)
    assert card["samples"] == 100 and not any(name.startswith("val_") for name in rows[0])
    assert (folder / "best_model" / "output_weights.npy").exists()


def test_yin_yang_is_chosen_on_its_validation_points_and_drawn(tmp_path):
    folder, card = trained(
        tmp_path, model_name="yin_yang", data_name="YINYANG", epochs=1, train_samples=500, test_samples=None, save=True
    )
    data, model = load("YINYANG", train_samples=1), keras.saving.load_model(folder / "BATS.keras")
    accuracies = {}
    for name in ("validation", "test"):
        metric = metrics.FirstSpikeAccuracy()
        metric.update_state(getattr(data, f"y_{name}"), model(getattr(data, f"x_{name}")))
        accuracies[name] = pytest.approx(float(metric.result()))
    assert accuracies["validation"] == rows_of(folder)[0]["val_accuracy"] != accuracies["test"]
    assert accuracies["test"] == card["accuracy"]
    assert (folder / "plots" / "decisions.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["yin_yang", "maximum_potential"])
def test_a_decision_map_has_the_answers_of_the_read_out(tmp_path, monkeypatch, name):
    drawn = []
    monkeypatch.setattr(plots, "decision_map", lambda *arguments: drawn.append(arguments) or arguments[-1])
    settings = {"data_name": "YINYANG", "train_samples": 100, "test_samples": 50, "epochs": 1, "save": True}
    folder, _ = trained(tmp_path, model_name=name, **settings)
    model = keras.saving.load_model(folder / "BATS.keras")
    ((answers, points, labels, _),) = drawn
    x, y = np.meshgrid(*2 * [(np.arange(128) + 0.5) / 128])
    outputs = np.asarray(model(np.stack([x, y, 1 - x, 1 - y], axis=-1).reshape(-1, 1, 4, 1).astype("float32")))
    scores = outputs if name == "maximum_potential" else -outputs[..., 0]
    np.testing.assert_array_equal(answers, scores.argmax(-1).reshape(128, 128))
    data = load("YINYANG", test_samples=50)
    np.testing.assert_array_equal(points, data.x_test[:, 0, :2, 0])
    np.testing.assert_array_equal(labels, data.y_test)


def test_the_first_row_is_of_training_alone(tmp_path):
    """At a rate of nothing it has the accuracy on the training images, whatever was measured before."""
    _, card = trained(tmp_path, epochs=0, testing=False)
    folder, tested = trained(tmp_path, epochs=1, lr=1e-30)
    assert rows_of(folder)[0]["accuracy"] == pytest.approx(card["accuracy"])
    assert tested["accuracy_before"] != pytest.approx(card["accuracy"])


@pytest.mark.parametrize(("name", "factor", "minimum"), [("conv", 0.5, 1e-4), ("spike_count", 1.0, 0.0)])
def test_a_run_decays_its_rate_every_ten_epochs(name, factor, minimum):
    configuration = Configuration(model_type="BATS", model_name=name, batch_size=32, lr=0.1).resolved()
    optimizer = BATSRecipe(configuration, load("DIGITS", None, 100, 10)).optimizer()
    assert type(optimizer) is keras.optimizers.Adam
    assert optimizer.epsilon == pytest.approx(1e-8 * np.sqrt(1 - optimizer.beta_2))
    expected = {"initial": 0.1, "factor": factor, "every": 10 * 4, "minimum": minimum}  # 100 images, 32 a step
    assert optimizer.get_config()["learning_rate"]["config"] == expected


def test_steps_of_the_rate():
    rate = StepDecay(0.0005, 0.5, 10 * 4, 1e-4)
    assert [float(rate(step)) for step in (0, 39, 40, 79, 80, 119, 120, 4000)] == pytest.approx(
        [0.0005, 0.0005, 0.00025, 0.00025, 0.000125, 0.000125, 1e-4, 1e-4]
    )
    assert float(StepDecay(1e-5, 0.5, 1, 1e-4)(100)) == pytest.approx(1e-5)  # one asked for by --lr stays
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(rate)).get_config() == (
        rate.get_config()
    )


def test_each_row_has_the_rate_that_its_epoch_was_trained_with(tmp_path):
    recipe = types.SimpleNamespace(best="loss", columns=dict, keep_best=lambda folder: None)
    records = record.EpochRecord(RunFolder(tmp_path), recipe)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(StepDecay(0.004, 0.5, every=6)), "mse")
    model.fit(np.ones((6, 1)), np.ones((6, 1)), batch_size=2, epochs=5, verbose=0, callbacks=[records])
    rates = [row["learning_rate"] for row in rows_of(tmp_path)]
    assert rates == pytest.approx([0.004, 0.004, 0.002, 0.002, 0.001])


@pytest.mark.parametrize("flag", ["noise", "time_bits", "weight_bits", "latency_quantiles"])
def test_flags_of_ttfs_hardware_are_refused(flag):
    with pytest.raises(ConfigurationError, match=f"{flag}: expected none with model_type BATS, it acts with SNN only"):
        Configuration(model_type="BATS", model_name="spike_count", **{flag: 1}).validate()


@pytest.mark.parametrize("flag", ["recovery", "scaling"])
@pytest.mark.parametrize("model_type", ["SNN", "ReLU"])
def test_flags_of_multi_spike_networks_are_refused_elsewhere(flag, model_type):
    with pytest.raises(ConfigurationError, match=f"{flag}: expected none with model_type {model_type}"):
        Configuration(model_type=model_type, **{flag: 0.5}).validate()


def test_all_problems_are_listed_at_once():
    with pytest.raises(ConfigurationError) as error:
        Configuration(
            model_type="BATS", model_name="FC2", noise=0.1, recovery=-1.0, scaling=-1.0, load="nowhere/best_model"
        ).validate()
    for name in ("model_name", "noise", "recovery", "scaling", "load"):
        assert f"\n  {name}: expected " in str(error.value), name


def test_models_of_another_kind_are_refused(tmp_path):
    common = {"train_samples": 40, "test_samples": 10, "save": True, "epochs": 0, "batch_size": 20}
    for kind, name in (("ReLU", "FC2"), ("BATS", "spike_count")):
        run(Configuration(logging_dir=str(tmp_path), model_type=kind, model_name=name, units=8, **common))
    relu, spiking = (str(tmp_path / f"DIGITS-{path}.keras") for path in ("FC2/ReLU", "spike_count/BATS"))
    for kind, name, path, message in (
        ("BATS", "spike_count", relu, "expected a model of multi-spike layers for model_type BATS"),
        ("ReLU", "FC2", spiking, "expected a ReLU model for model_type ReLU. Received: a spiking one"),
        ("SNN", "FC2", spiking, "expected a ReLU model for model_type SNN. Received: a spiking one"),
    ):
        configuration = Configuration(
            logging_dir=str(tmp_path / "new"), model_type=kind, model_name=name, load=path, **common
        )
        with pytest.raises(WeightsError, match=message):
            run(configuration)


def test_files_that_are_not_weights_are_refused(finished, tmp_path):
    truncated, other = tmp_path / "a.weights.h5", tmp_path / "a.npy"
    truncated.write_bytes((finished[0] / "best.weights.h5").read_bytes()[:2000])
    other.touch()
    with pytest.raises(WeightsError, match=r"a\.weights\.h5: expected weights of spike_count"):
        trained(tmp_path, load=str(truncated))
    with pytest.raises(ConfigurationError, match=r"load: expected a \.keras or \.weights\.h5 file, or a folder"):
        trained(tmp_path, load=str(other))


def test_weights_that_do_not_fit_are_refused_before_anything_is_written(finished, tmp_path):
    source = finished[0] / "best_model"
    with pytest.raises(WeightsError) as error:
        trained(tmp_path, model_name="conv", load=str(source))
    for name in ("conv_1", "conv_2", "hidden_3", "output"):
        assert f"{source}/{name}_weights.npy: " in str(error.value)
    assert not list(tmp_path.glob("*/flags.txt"))


def flag_files():
    return sorted((ROOT / "experiments" / "flags").glob("*.flags"))


@pytest.mark.parametrize("path", flag_files(), ids=lambda path: path.stem)
def test_every_flag_file_is_a_valid_run(path):
    values = flags.FlagValues()
    flags.DEFINE_string("flagfile", "", "", flag_values=values)
    define_flags(values)
    values(["main.py", f"--flagfile={path}"])
    given = {name: values[name].value for name in Configuration.__dataclass_fields__}
    configuration = Configuration(**given)
    configuration.validate()
    assert configuration.model_type == "BATS"
    resolved = configuration.resolved()
    if path.stem.startswith("digits_"):
        assert resolved.data_name == "DIGITS"
    else:
        # The files spell out what the network's own settings are.
        own = Configuration(model_type="BATS", model_name=given["model_name"], data_name=given["data_name"]).resolved()
        assert (resolved.lr, resolved.batch_size) == (own.lr, own.batch_size)


def test_a_flag_file_runs_from_the_command_line_and_yields_to_it(tmp_path):
    command = [
        sys.executable, str(ROOT / "main.py"), "--flagfile=experiments/flags/digits_spike_count.flags", "--epochs=1",
        "--train_samples=40", "--test_samples=20", f"--logging_dir={tmp_path}",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.iterdir()
    assert folder.name == "DIGITS-spike_count" and len(rows_of(folder)) == 1
    assert "--epochs=1" in (folder / "flags.txt").read_text(encoding="utf-8")
