"""Deep spiking networks, trained directly with surrogate gradients."""

import logging
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras import plots, stbp
from ttfs_keras.data import Dataset
from ttfs_keras.data.augmentation import augmented, flipped, shifted
from ttfs_keras.errors import WeightsError
from ttfs_keras.files.atomic import write_json
from ttfs_keras.metrics.card import MetricCard, metric_card
from ttfs_keras.network.graph import layers_of
from ttfs_keras.stbp.reestimate import unsettled
from ttfs_keras.training.configuration import Configuration
from ttfs_keras.training.experiments import Rate, cosine
from ttfs_keras.training.folder import RunFolder
from ttfs_keras.training.recipes.recipe import Recipe
from ttfs_keras.training.sources import load_keras

_LOG = logging.getLogger("ttfs_keras")

CHECKED = 64  # images of the health check
CALIBRATION = 512  # images on which the weights of a ReLU network are fitted to spikes, or statistics are estimated


class STBPRecipe(Recipe):
    """ResNet-19 and ResNet-9, from scratch or from the weights of their trained ReLU twin."""

    best = "val_loss"
    reestimated: int | None = None  # images
    card_batch = 32  # all spikes of a batch are in memory at once

    def __init__(self, configuration: Configuration, data: Dataset):
        super().__init__(configuration, data)
        c = configuration
        held_out = max(1, round(c.validation * len(data.x_train))) if c.validation else 0
        kept = len(data.x_train) - held_out
        self.x_train, self.y_train = data.x_train[:kept], data.y_train[:kept]
        self.held_out = (data.x_train[kept:], data.y_train[kept:])
        if not held_out:
            self.best = "loss"
        loaded = load_keras(c.load_path, data, c.dtype) if c.load_path is not None else None
        if loaded is not None and layers_of(loaded, stbp.LIF):
            self.model = loaded
            return
        settings = c.neuron_settings | {"input_range": data.input_range}
        self.model = self.experiment.network(data.image_shape, data.classes, c.preset, **settings)
        if loaded is None:
            self.ready = False  # batch norms without statistics
            return
        try:
            stbp.from_relu(self.model, loaded, self.x_train[:CALIBRATION])
        except ValueError as error:
            raise WeightsError(f"{c.load_path}: {error}") from error

    def rate(self) -> Rate:
        """Return the rate along a cosine, or its drops after given epochs."""
        if self.configuration.lr_schedule == "cosine":
            return cosine(self.lr, self.steps_per_epoch, self.epochs)
        return self.experiment.schedule(self.lr, self.steps_per_epoch, self.epochs, self.configuration.drop_epochs)

    def batches(self, first_epoch: int) -> tf.data.Dataset:
        """Shift and flip the images as asked."""
        c, found = self.configuration, super().batches(first_epoch)
        seen = first_epoch * self.steps_per_epoch
        if c.shift:
            found = augmented(found, lambda x, key: shifted(x, key, c.shift), c.seed, seen)
        return augmented(found, flipped, c.seed + 1, seen) if c.flip else found

    def validation(self) -> tuple[np.ndarray, np.ndarray, int] | None:
        """Return the images held out of training."""
        return (*self.held_out, self.batch_size) if len(self.held_out[0]) else None

    def callbacks(self, folder: RunFolder) -> list[keras.callbacks.Callback]:
        """Return the health check, on images that are not trained on where there are any."""
        x, y = self.held_out if len(self.held_out[0]) >= 2 else (self.x_train, self.y_train)
        return [stbp.HealthCheck(x[:CHECKED], y[:CHECKED])]

    def after_training(self, folder: RunFolder, rows: list[dict[str, float]]) -> None:
        """Take the statistics of batch norms from training images where there were too few steps for moving ones."""
        layers = unsettled(self.model) if rows else []
        if layers:
            images = self.x_train[:CALIBRATION]
            stbp.reestimate_statistics(self.model, images, self.batch_size)
            self.reestimated = len(images)
            _LOG.info(
                "statistics of batch norms estimated again on %d training images: moving ones need more than %d steps",
                len(images), max(int(layer.steps) for layer in layers),
            )  # fmt: skip

    def plot(self, folder: RunFolder, card: MetricCard, rows: list[dict[str, float]]) -> list[Any]:
        """Draw spikes per neuron of one image and of all, and accuracy against time steps; write both."""
        x, y, to = self.data.x_test, self.data.y_test, folder / "plots"
        all_images = card if self.configuration.testing else metric_card(self.model, x, y, batch_size=self.card_batch)
        found = {"first test image": metric_card(self.model, x[:1], y[:1]), "test images": all_images}
        rates = {
            images: {name: row["spikes_per_neuron"] for name, row in of_images["layers"].items()}
            for images, of_images in found.items()
        }
        by_time = [float(a) for a in stbp.accuracy_by_time(self.model, x, y)]
        card["accuracy_by_time_steps"] = by_time
        card["statistics_reestimated_on"] = self.reestimated
        write_json(folder / "rates.json", rates)
        drawn = [
            plots.spikes_per_neuron(rates[images], to / name, found[images]["spikes_per_neuron"])
            for images, name in (("first test image", "rates_one_image.png"), ("test images", "rates.png"))
        ]
        times = range(1, len(by_time) + 1)
        drawn.append(plots.monitor(times, by_time, "accuracy", to / "accuracy_by_time.png", "time steps"))
        return super().plot(folder, card, rows) + drawn
