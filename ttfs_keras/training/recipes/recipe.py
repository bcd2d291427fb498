"""The interface between a run and a kind of network."""

from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras import plots
from ttfs_keras.data import Dataset, batches, steps
from ttfs_keras.metrics.card import MetricCard
from ttfs_keras.training.configuration import Configuration
from ttfs_keras.training.experiments import Rate
from ttfs_keras.training.folder import RunFolder

PLANE = 128  # points of a decision map in either direction


class Recipe:
    """A network and how to train, measure and draw it; each kind of network overrides what differs.

    Args:
        configuration: the run's `Configuration`, with the experiment's settings where none were given.
        data: its `Dataset`.

    Attributes:
        experiment: the network's `Experiment`.
        model: the network to train.
        source: the ReLU model it was mapped from, or None.
        accuracy: Keras metric that says which outputs are right; None: the largest one is the answer.
        x_train, y_train: what is trained on.
        lr, batch_size, epochs: the run's or, where it gives none, the experiment's.
        ready: whether the network can be measured before any training.
        card_batch: images at a time when it is measured.
        best: column of `metrics.csv` that decides which epoch is the best: the largest accuracy or the least loss.
    """

    model: keras.Model
    source: keras.Model | None = None
    best = "loss"
    ready = True
    card_batch = 128

    def __init__(self, configuration: Configuration, data: Dataset):
        self.configuration, self.data = configuration, data
        self.experiment = configuration.experiment
        self.accuracy = self.experiment.accuracy() if self.experiment.accuracy else None
        self.x_train, self.y_train = data.x_train, data.y_train
        self.lr, self.batch_size = cast(float, configuration.lr), cast(int, configuration.batch_size)
        self.epochs = cast(int, configuration.epochs)

    @property
    def steps_per_epoch(self) -> int:
        """Training steps of an epoch."""
        return steps(len(self.x_train), self.batch_size)

    def rate(self) -> Rate:
        """Return the learning rate or its schedule."""
        return self.experiment.schedule(self.lr, self.steps_per_epoch, self.epochs)

    def optimizer(self) -> keras.optimizers.Optimizer:
        """Return the experiment's optimizer."""
        return self.experiment.optimizer(self.rate())

    def loss(self) -> keras.losses.Loss:
        """Return the experiment's loss."""
        return self.experiment.loss(self.configuration.dtype)

    def metrics(self) -> list[Any]:
        """Return the metrics of training."""
        return [self.accuracy or "accuracy", *(metric() for metric in self.experiment.metrics)]

    def batches(self, first_epoch: int) -> tf.data.Dataset:
        """Return the batches of the epochs from `first_epoch` on."""
        seed = self.configuration.seed
        return batches(self.x_train, self.y_train, self.batch_size, seed, first_epoch, self.epochs)

    def validation(self) -> tuple[np.ndarray, np.ndarray, int] | None:
        """Return (x, y, batch size) to measure after each epoch, or None."""
        return None

    def callbacks(self, folder: RunFolder) -> list[keras.callbacks.Callback]:
        """Return callbacks for training, to be called before the epoch's record is written."""
        return []

    def columns(self) -> dict[str, float]:
        """Return {name: value} to add to a row of `metrics.csv` at the end of an epoch."""
        return {}

    def keep_best(self, folder: RunFolder) -> None:
        """Write what is kept of the best epoch beside `best.weights.h5`."""

    def before_training(self, folder: RunFolder) -> None:
        """Write what is known before any training."""

    def after_training(self, folder: RunFolder, rows: list[dict[str, float]]) -> None:
        """Write what `metrics.csv`, whose rows are given, and the model do not hold."""

    def plot(self, folder: RunFolder, card: MetricCard, rows: list[dict[str, float]]) -> list[Any]:
        """Draw the run's plots into the run folder and return their paths; here curves and decisions over a plane."""
        drawn = []
        if rows:
            metrics = {name: [row[name] for row in rows] for name in rows[0]}
            drawn.append(plots.training_curves(metrics, folder / "plots" / "training_curves.png"))
        if self.data.name == "YINYANG":
            drawn.append(self._decisions(folder))
        return drawn

    def _decisions(self, folder: RunFolder) -> Any:
        """Draw the answers over the unit square, with the test points."""
        ticks = (np.arange(PLANE) + 0.5) / PLANE
        points = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
        values = np.concatenate([points, 1 - points], axis=1).reshape(-1, *self.data.image_shape)
        outputs = self.model.predict(values.astype(self.configuration.dtype), PLANE, verbose=0)
        scores = getattr(
            self.accuracy, "scores", np.asarray
        )  # the largest output is the answer where there is no metric
        answers = np.argmax(scores(outputs), axis=-1).reshape(PLANE, PLANE)
        x, y = self.data.x_test, self.data.y_test
        return plots.decision_map(answers, x[:, 0, :2, 0], y, folder / "plots" / "decisions.png")
