import json

import keras
import numpy as np
import pytest

from ttfs_keras import ConfigurationError, WeightsError, plots, stbp
from ttfs_keras.data import load
from ttfs_keras.plots import read_metrics
from ttfs_keras.training.configuration import Configuration
from ttfs_keras.training.run import run

SMALL = {
    "model_type": "STBP", "model_name": "ResNet9", "train_samples": 96, "test_samples": 40, "batch_size": 32,
}  # fmt: skip


def trained(folder, **settings):
    configuration = Configuration(logging_dir=str(folder), **SMALL | settings)
    return configuration.folder, run(configuration)


def weights(path):
    return [np.asarray(v) for v in keras.saving.load_model(path).variables]


def test_the_run_folder_is_complete(tmp_path):
    folder, card = trained(tmp_path, epochs=2, save=True, shift=1)
    assert json.loads((folder / "card.json").read_text()) == card
    assert card["latency"] == 2 and card["latency_unit"] == "steps" and len(card["accuracy_by_time_steps"]) == 2
    assert card["accuracy"] == card["accuracy_by_time_steps"][-1]
    assert card["accuracy_before"] is None  # no statistics before training
    assert set(card["layers"]) == {"stem_lif", "hidden_lif"} | {f"block{n}-1_lif{k}" for n in (1, 2, 3) for k in (1, 2)}
    metrics = read_metrics(folder / "metrics.csv")
    assert {"loss", "val_loss", "val_accuracy", "health/inside/stem_lif", "health/gradient/stem"} <= set(metrics)
    rates = json.loads((folder / "rates.json").read_text())
    assert set(rates) == {"first test image", "test images"} and set(rates["test images"]) == set(card["layers"])
    measured = {name: row["spikes_per_neuron"] for name, row in card["layers"].items()}
    assert rates["test images"] == measured  # spikes per neuron and image, as the plot says, not per step
    assert {"rates.png", "rates_one_image.png", "accuracy_by_time.png"} <= {
        p.name for p in (folder / "plots").iterdir()
    }
    assert len(weights(folder / "STBP.keras"))


def test_rates_are_spikes_per_neuron_and_image(tmp_path, monkeypatch):
    drawn = []

    def draw(rates, path, overall):
        drawn.append((path.name, rates, overall))
        return path

    monkeypatch.setattr(plots, "spikes_per_neuron", draw)
    folder, card = trained(tmp_path, epochs=1, save=True, time_steps=3)
    model, data = keras.saving.load_model(folder / "STBP.keras"), load("DIGITS", None, 96, 40)
    for (name, rates, overall), x in zip(drawn, (data.x_test[:1], data.x_test), strict=True):
        per_step = stbp.firing_rates(model, x)
        assert rates == pytest.approx({layer: 3 * rate for layer, rate in per_step.items()}), name
        neurons = {layer: row["neurons"] for layer, row in card["layers"].items()}
        spikes = sum(rates[layer] * neurons[layer] for layer in rates)
        assert overall == pytest.approx(spikes / sum(neurons.values())), name
    assert [name for name, _, _ in drawn] == ["rates_one_image.png", "rates.png"]


def test_interrupted_and_resumed_is_the_same(tmp_path):
    settings = {"save": True, "shift": 1, "flip": True, "patience": 0}
    whole, _ = trained(tmp_path / "whole", epochs=3, **settings)
    trained(tmp_path / "cut", epochs=1, **settings)
    cut, _ = trained(tmp_path / "cut", epochs=3, resume=True, **settings)
    for a, b in zip(weights(whole / "STBP.keras"), weights(cut / "STBP.keras"), strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_stops_early_and_the_best_weights_are_restored(tmp_path):
    # A rate this high makes every epoch worse than the first.
    folder, _ = trained(tmp_path, epochs=6, lr=3.0, patience=1, save=True)
    losses = read_metrics(folder / "metrics.csv")["val_loss"]
    assert len(losses) < 6 and losses.index(min(losses)) == len(losses) - 2
    best = keras.saving.load_model(folder / "STBP.keras")
    values = [np.asarray(v) for v in best.trainable_variables]
    best.load_weights(folder / "best.weights.h5")
    for a, b in zip(values, best.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_short_runs_end_with_statistics_of_the_final_weights(tmp_path, caplog):
    folder, card = trained(tmp_path, epochs=2, save=True, validation=0.0, patience=0)
    assert card["statistics_reestimated_on"] == 96
    assert "estimated again on 96 training images: moving ones need more than 6 steps" in caplog.text
    saved, x = weights(folder / "STBP.keras"), load("DIGITS", None, 96, 40).x_train
    last = keras.saving.load_model(folder / "state.keras")
    moving = [np.asarray(v) for v in last.variables]
    stbp.reestimate_statistics(last, x, 32)
    for a, b in zip(saved, last.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not all(np.array_equal(a, b) for a, b in zip(saved, moving, strict=True))
    _, card = trained(tmp_path, epochs=0, load=str(folder / "STBP.keras"), save=True)
    assert card["statistics_reestimated_on"] is None  # not trained


def test_one_architecture_in_every_way(tmp_path):
    _, relu = trained(tmp_path, model_type="ReLU", epochs=2, save=True)
    _, mapped = trained(tmp_path, model_type="SNN", epochs=0, load="True")
    assert mapped["agreement"] == 1.0 and mapped["accuracy"] == relu["accuracy"]
    twin = str(tmp_path / "DIGITS-ResNet9" / "ReLU.keras")
    _, card = trained(tmp_path, epochs=1, load=twin, lr_schedule="cosine")
    assert card["accuracy_before"] is not None
    with pytest.raises(WeightsError, match="ReLU twin"):
        trained(tmp_path, model_name="ResNet19", epochs=1, load=twin)


def test_all_problems_are_listed_at_once():
    wrong = {
        "time_steps": 0, "surrogate": "step", "decoder": "vote", "encoder": "morse", "preset": "other",
        "lr_schedule": "flat", "lr_drops": "ten", "validation": 1.0, "shift": -1, "patience": -1, "noise": 0.5,
        "epochs": 0,
    }  # fmt: skip
    with pytest.raises(ConfigurationError) as error:
        Configuration(**SMALL | wrong).validate()
    for name in wrong:
        assert f"{name}" in str(error.value), name
    with pytest.raises(ConfigurationError, match="threshold > 0"):
        Configuration(**SMALL, threshold=-1.0).validate()
    with pytest.raises(ConfigurationError, match="expected a name with ResNet19 or ResNet9"):
        Configuration(model_type="STBP", model_name="LeNet").validate()


def test_tensorboard_is_asked_for_before_any_work(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'ttfs-keras\[tensorboard\]'"):
        Configuration(**SMALL, tensorboard=True).validate()


def test_the_seeds_preset_trains(tmp_path):
    _, card = trained(tmp_path, model_name="ResNet9_seed", preset="seed", epochs=1, time_steps=3)
    assert card["latency"] == 3 and 0 <= card["accuracy"] <= 1
