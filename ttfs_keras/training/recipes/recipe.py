"""The interface between a run and a kind of network."""

import keras

from ttfs_keras.data import batches


class Recipe:
    """A network and how to train, measure and draw it; each kind of network overrides what differs.

    Args:
        configuration: the run's `Configuration`, with the defaults of `settings` filled in.
        data: its `Dataset`.

    Attributes:
        model: the network to train.
        source: the ReLU model it was mapped from, or None.
        accuracy: Keras metric that says which outputs are right; None: the largest one is the answer.
        x_train, y_train: what is trained on.
        ready: whether the network can be measured before any training.
        card_batch: images at a time when it is measured.
        best: column of `metrics.csv` by which the best weights are kept; the least, of accuracies the largest.
    """

    source = None
    accuracy: keras.metrics.Metric | None = None
    best = "loss"
    ready = True
    card_batch = 128

    def __init__(self, configuration, data):
        self.configuration, self.data = configuration, data
        self.x_train, self.y_train = data.x_train, data.y_train

    @staticmethod
    def settings(configuration):
        """Return {field: default} of settings that depend on the network.

        Raises:
            ConfigurationError: there is no such network.
        """
        raise NotImplementedError  # abstract

    @staticmethod
    def problems(configuration):
        """Return what cannot work with this kind of network, as a list of texts."""
        return []

    def optimizer(self):
        """Return the optimizer."""
        raise NotImplementedError  # abstract

    def loss(self):
        """Return the loss."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def metrics(self):
        """Return the metrics of training."""
        return ["accuracy"]

    def batches(self, first_epoch):
        """Return the batches of the epochs from `first_epoch` on."""
        c = self.configuration
        return batches(self.x_train, self.y_train, c.batch_size, c.seed, first_epoch, c.epochs)

    def validation(self):
        """Return (x, y, batch size) to measure after each epoch, or None."""
        return None

    def callbacks(self, folder):
        """Return callbacks for training, to be called before the epoch's record is written."""
        return []

    def columns(self):
        """Return {name: value} to add to a row of `metrics.csv` at the end of an epoch."""
        return {}

    def keep_best(self, folder):
        """Write what is kept of the best epoch beside `best.weights.h5`."""

    def before_training(self, folder):
        """Write what is known before any training."""

    def after_training(self, folder, rows):
        """Write what `metrics.csv`, whose rows are given, and the model do not hold."""

    def plot(self, folder, card):
        """Draw the network's pictures into the run folder and return their paths."""
        return []
