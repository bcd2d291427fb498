"""Homeostasis: what never fires becomes easier to fire."""

import keras
import tensorflow as tf

from ttfs_keras import arguments
from ttfs_keras.bats.weights import layers


class SynapticScaling(keras.callbacks.Callback):
    """Strengthen the synapses of neurons that no training sample of an epoch made fire: w += rate |w|.

    Convolutional neurons share their weights: a filter counts as silent where all its positions are. The weights change
    before the epoch's validation, which measures what is saved.

    Args:
        rate: share of its size that a weight gains, > 0.

    Raises:
        ValueError: rate is something else.
    """

    def __init__(self, rate=0.05):
        super().__init__()
        arguments.require("SynapticScaling", (arguments.positive(rate), "rate > 0, finite", f"rate={rate!r}"))
        self.rate = rate
        self.due = False

    def on_epoch_begin(self, epoch, logs=None):
        """Note that there will be something to scale."""
        self.due = True

    def on_test_begin(self, logs=None):
        """Scale before validation within an epoch, which resets the monitors."""
        self._scale()

    def on_epoch_end(self, epoch, logs=None):
        """Scale, where there was no validation."""
        self._scale()

    def _scale(self):
        if not self.due:
            return
        self.due = False
        for layer in layers(self.model):
            silent = tf.reduce_all(tf.reshape(layer.monitor.silent(), (-1, layer.kernel.shape[-1])), axis=0)
            layer.kernel.assign_add(self.rate * tf.cast(silent, layer.kernel.dtype) * tf.abs(layer.kernel))
