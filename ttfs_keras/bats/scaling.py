"""Homeostatic synaptic scaling."""

import keras
import tensorflow as tf

from ttfs_keras import arguments
from ttfs_keras.bats.multi_spike import MultiSpikeLayer
from ttfs_keras.network.graph import layers_of

__all__ = ["SynapticScaling"]


class SynapticScaling(keras.callbacks.Callback):
    """Strengthen the synapses of neurons that stayed silent for a whole epoch of training: w += rate |w|.

    Convolutional neurons share their weights: a filter counts as silent if it is at all positions. The weights change
    before the epoch's validation, so that the validation measures the weights that are saved.

    Args:
        rate: relative change of a weight, > 0.

    Raises:
        ValueError: rate is not positive and finite.

    Example:
        >>> inputs = keras.Input((784, 1))
        >>> model = keras.Model(inputs, bats.BATSDense(10)(inputs))
        >>> model.compile("adam", bats.losses.SpikeCount(15, 3))
        >>> history = model.fit(np.zeros((4, 784, 1)), np.zeros(4), callbacks=[bats.SynapticScaling(0.05)], verbose=0)
    """

    def __init__(self, rate: float = 0.05):
        super().__init__()
        arguments.require("SynapticScaling", (arguments.positive(rate), "rate > 0, finite", f"rate={rate!r}"))
        self.rate = rate
        self.due = False

    def on_epoch_begin(self, epoch, logs=None):
        self.due = True

    def on_test_begin(self, logs=None):
        """Scale before the validation within an epoch, which resets the monitors."""
        self._scale()

    def on_epoch_end(self, epoch, logs=None):
        """Scale if there was no validation."""
        self._scale()

    def _scale(self):
        if not self.due:
            return
        self.due = False
        for layer in layers_of(self.model, MultiSpikeLayer):
            silent = tf.reduce_all(tf.reshape(layer.monitor.silent(), (-1, layer.kernel.shape[-1])), axis=0)
            layer.kernel.assign_add(self.rate * tf.cast(silent, layer.kernel.dtype) * tf.abs(layer.kernel))
