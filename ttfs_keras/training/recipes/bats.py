"""Multi-spike networks, trained by exact gradients of spike times."""

import dataclasses

import keras
import numpy as np

from ttfs_keras import plots
from ttfs_keras.bats.metrics import SilentLabels
from ttfs_keras.bats.scaling import SynapticScaling
from ttfs_keras.bats.weights import layers, load_weights, save_weights
from ttfs_keras.data import steps
from ttfs_keras.data.augmentation import augmented, elastic
from ttfs_keras.errors import WeightsError
from ttfs_keras.files.atomic import replacing
from ttfs_keras.models import bats
from ttfs_keras.network.spiking import spikes
from ttfs_keras.training.recipes.recipe import Recipe
from ttfs_keras.training.schedules import StepDecay
from ttfs_keras.training.sources import load_keras, load_weights_h5

DECAY_EPOCHS = 10  # between two decays of the learning rate
# The source adds 1e-8 to the root of the corrected second moment, Keras its epsilon to that of the uncorrected one.
# This is as much at the first step; 1e-8, 30 times that, would hold the first gradients back, which are about 1e-6.
EPSILON = 1e-8 * (1 - 0.999) ** 0.5
PLOTTED = 500  # images in the count maps


class BATSRecipe(Recipe):
    """The experiments of `ttfs_keras.models.bats`."""

    def __init__(self, configuration, data):
        super().__init__(configuration, data)
        c = configuration
        self.experiment = dataclasses.replace(bats.experiment(c.model_name, c.data_name), lr=c.lr, recovery=c.recovery)
        self.accuracy = bats.accuracy(self.experiment)
        self.best = "val_accuracy" if c.testing else "accuracy"
        path = c.load_path
        if path is not None and path.suffix == ".keras":
            self.model = load_keras(path, data, c.dtype)
            if not layers(self.model):
                raise WeightsError(
                    f"{path}: expected a model of multi-spike layers for model_type BATS. Received: none"
                )
            return
        self.model = bats.bats_model(self.experiment, data.image_shape, data.classes, data.input_range, c.dtype)
        if path is not None and path.is_dir():
            load_weights(self.model, path)
        elif path is not None:
            load_weights_h5(path, self.model, c.model_name)

    @staticmethod
    def problems(configuration):
        """Return a file of another kind."""
        path = configuration.load_path
        if path is not None and path.is_file() and not path.name.endswith((".keras", ".weights.h5")):
            return [f"load: expected a .keras or .weights.h5 file, or a folder. Received: {configuration.load!r}"]
        return []

    @staticmethod
    def settings(configuration):
        """Return the experiment's own."""
        found = bats.experiment(configuration.model_name, configuration.data_name)
        return {
            "lr": found.lr,
            "batch_size": found.batch_size,
            "epochs": found.epochs,
            "patience": 0,
            "recovery": found.recovery,
        }

    def optimizer(self):
        """Return Adam with the experiment's decay."""
        c, e = self.configuration, self.experiment
        every = DECAY_EPOCHS * steps(len(self.data.x_train), c.batch_size)
        return keras.optimizers.Adam(StepDecay(c.lr, e.lr_decay, every, e.lr_minimum), epsilon=EPSILON)

    def loss(self):
        """Return the experiment's loss."""
        return bats.loss(self.experiment, self.configuration.dtype)

    def metrics(self):
        """Return accuracy by the experiment's read-out, and the share of silent labels."""
        return [self.accuracy, SilentLabels(name="silent_labels")]

    def batches(self, first_epoch):
        """Deform the images where the experiment asks for it."""
        c, found = self.configuration, super().batches(first_epoch)
        if not self.experiment.elastic:
            return found
        return augmented(found, elastic, c.seed, first_epoch * steps(len(self.data.x_train), c.batch_size))

    def validation(self):
        """Return the test images: the reference tests after each epoch and keeps the best weights by that."""
        if not self.configuration.testing:
            return None
        return self.data.x_test, self.data.y_test, self.experiment.test_batch_size

    def callbacks(self, folder):
        """Draw the spikes of the first test image after each epoch; scale synapses, if asked for."""

        def draw(epoch, logs=None):
            one = {name: train[0] for name, train in spikes(self.model, self.data.x_test[:1]).items()}
            plots.train_raster(one, folder / "plots" / f"raster_{epoch + 1:03d}.png")

        scaling = [SynapticScaling(self.configuration.scaling)] if self.configuration.scaling else []
        # Drawing runs the model, which adds to the monitors that scaling looks at.
        return [*scaling, keras.callbacks.LambdaCallback(on_epoch_end=draw)]

    def columns(self):
        """Return the norm of each layer's weights."""
        return {f"{layer.name}_norm": float(np.linalg.norm(layer.kernel)) for layer in layers(self.model)}

    def keep_best(self, folder):
        """Write `best_model/<layer>_weights.npy`."""
        save_weights(self.model, folder / "best_model")

    def after_training(self, folder, rows):
        """Write each monitor as an .npz (epochs, values) and a .png into `output_metrics/`."""
        to = folder / "output_metrics"
        to.mkdir(exist_ok=True)
        epochs = np.array([row["epoch"] for row in rows])
        for name in [name for name in rows[0] if name != "epoch"] if rows else ():
            values = np.array([row[name] for row in rows])
            with replacing(to / f"{name}.npz") as path, path.open("wb") as file:
                np.savez(file, epochs=epochs, values=values)
            plots.monitor(epochs, values, name, to / f"{name}.png")

    def plot(self, folder, card):
        """Draw the spikes of one test image and the spike counts of hidden and output neurons by class."""
        trains = spikes(self.model, self.data.x_test[:PLOTTED])
        to = folder / "plots"
        one = {name: train[0] for name, train in trains.items()}
        pictures = [plots.train_raster(one, to / "raster.png")]
        for name, train in trains.items():
            if train.ndim == 3:  # dense layers
                counts = np.isfinite(train).sum(-1)
                by_class = _mean_by_class(counts, self.data.y_test[:PLOTTED], self.data.classes)
                pictures.append(plots.count_map(by_class, name, to / f"counts_{name}.png"))
        rates = {name: row["spikes_per_neuron"] for name, row in card["layers"].items()}
        pictures.append(plots.spikes_per_neuron(rates, to / "spikes_per_neuron.png", card["spikes_per_neuron"]))
        return pictures


def _mean_by_class(counts, labels, classes):
    """Return (classes, neurons) mean counts, NaN for classes without images."""
    members = [counts[labels == label] for label in range(classes)]
    return np.array([rows.mean(0) if len(rows) else np.full(counts.shape[1], np.nan) for rows in members])
