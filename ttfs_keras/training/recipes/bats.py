"""Multi-spike networks, trained by exact gradients of spike times."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras import plots
from ttfs_keras.bats.readout import count
from ttfs_keras.bats.scaling import SynapticScaling
from ttfs_keras.bats.weights import layers, load_weights, save_weights
from ttfs_keras.data import Dataset
from ttfs_keras.data.augmentation import augmented, elastic
from ttfs_keras.errors import WeightsError
from ttfs_keras.files.atomic import replacing
from ttfs_keras.metrics.card import MetricCard
from ttfs_keras.network.spiking import spikes
from ttfs_keras.training.configuration import Configuration
from ttfs_keras.training.folder import RunFolder
from ttfs_keras.training.recipes.recipe import Recipe
from ttfs_keras.training.sources import load_keras, load_weights_h5

PLOTTED = 500  # images in the count maps


class BATSRecipe(Recipe):
    """The multi-spike experiments of `ttfs_keras.training.experiments`."""

    def __init__(self, configuration: Configuration, data: Dataset):
        super().__init__(configuration, data)
        c = configuration
        self.best = "val_accuracy" if self.validation() else "accuracy"
        path = c.load_path
        if path is not None and path.suffix == ".keras":
            self.model = load_keras(path, data, c.dtype)
            if not layers(self.model):
                raise WeightsError(
                    f"{path}: expected a model of multi-spike layers for model_type BATS. Received: none"
                )
            return
        self.model = self.experiment.network(data.image_shape, data.classes, data.input_range, c.dtype, c.recovery)
        if path is not None and path.is_dir():
            load_weights(self.model, path)
        elif path is not None:
            load_weights_h5(path, self.model, c.model_name)

    def batches(self, first_epoch: int) -> tf.data.Dataset:
        """Deform the images where the experiment asks for it."""
        c, found = self.configuration, super().batches(first_epoch)
        if not self.experiment.elastic:
            return found
        return augmented(found, elastic, c.seed, first_epoch * self.steps_per_epoch)

    def validation(self) -> tuple[np.ndarray, np.ndarray, int] | None:
        """Return the validation images, or the test images where a data set has no others.

        The reference tests after each epoch and keeps the best weights by that.
        """
        data, size = self.data, self.experiment.test_batch_size or self.batch_size
        if data.x_validation is not None and data.y_validation is not None:
            return data.x_validation, data.y_validation, size
        return (data.x_test, data.y_test, size) if self.configuration.testing else None

    def callbacks(self, folder: RunFolder) -> list[keras.callbacks.Callback]:
        """Draw the spikes of the first test image after each epoch; scale synapses, if asked for."""

        def draw(epoch, logs=None):
            one = {name: train[0] for name, train in spikes(self.model, self.data.x_test[:1]).items()}
            plots.train_raster(one, folder / "plots" / f"raster_{epoch + 1:03d}.png")

        scaling = [SynapticScaling(self.configuration.scaling)] if self.configuration.scaling else []
        # Drawing runs the model, which adds to the monitors that scaling looks at.
        return [*scaling, keras.callbacks.LambdaCallback(on_epoch_end=draw)]

    def columns(self) -> dict[str, float]:
        """Return the norm of each layer's weights."""
        return {f"{layer.name}_norm": float(np.linalg.norm(layer.kernel)) for layer in layers(self.model)}

    def keep_best(self, folder: RunFolder) -> None:
        """Write `best_model/<layer>_weights.npy`."""
        save_weights(self.model, folder / "best_model")

    def after_training(self, folder: RunFolder, rows: list[dict[str, float]]) -> None:
        """Write each monitor as an .npz (epochs, values) and a .png into `output_metrics/`."""
        to = folder / "output_metrics"
        to.mkdir(exist_ok=True)
        epochs = np.array([row["epoch"] for row in rows])
        for name in [name for name in rows[0] if name != "epoch"] if rows else ():
            values = np.array([row[name] for row in rows])
            with replacing(to / f"{name}.npz") as path, path.open("wb") as file:
                np.savez(file, epochs=epochs, values=values)
            plots.monitor(epochs, values, name, to / f"{name}.png")

    def plot(self, folder: RunFolder, card: MetricCard, rows: list[dict[str, float]]) -> list[Any]:
        """Draw the spikes of one test image and the spike counts of hidden and output neurons by class."""
        trains = spikes(self.model, self.data.x_test[:PLOTTED])
        to = folder / "plots"
        one = {name: train[0] for name, train in trains.items()}
        pictures = [*super().plot(folder, card, rows), plots.train_raster(one, to / "raster.png")]
        for name, train in trains.items():
            if train.ndim == 3:  # dense layers
                counts = count(train).numpy()
                by_class = _mean_by_class(counts, self.data.y_test[:PLOTTED], self.data.classes)
                pictures.append(plots.count_map(by_class, name, to / f"counts_{name}.png"))
        rates = {name: row["spikes_per_neuron"] for name, row in card["layers"].items()}
        pictures.append(plots.spikes_per_neuron(rates, to / "spikes_per_neuron.png", card["spikes_per_neuron"]))
        return pictures


def _mean_by_class(counts: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return (classes, neurons) mean counts, NaN for classes without images."""
    members = [counts[labels == label] for label in range(classes)]
    return np.array([rows.mean(0) if len(rows) else np.full(counts.shape[1], np.nan) for rows in members])
