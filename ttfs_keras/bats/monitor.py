"""How much a multi-spike layer fires."""

import keras
import tensorflow as tf


class SpikeMonitor(keras.metrics.Metric):
    """Spikes per sample, share of silent neurons and truncated trains of a layer, over all batches since the reset.

    The results are named `<layer>_spikes`, mean spikes of the layer per sample; `<layer>_silent`, share of neurons that
    no sample made fire; `<layer>_overflow`, trains per sample that were full when their neuron would have fired again.

    Args:
        layer: its name.
        neurons: how many it has.
    """

    def __init__(self, layer, neurons):
        super().__init__(name=f"{layer}_spikes", dtype="float32")
        self.layer = layer
        self.samples = self.add_variable((), "zeros", name="samples")
        self.overflow = self.add_variable((), "zeros", name="overflow")
        self.spikes = self.add_variable((neurons,), "zeros", name="spikes")

    def update_state(self, counts, overflow):
        """Add a batch.

        Args:
            counts: int32 (batch, ..., units), spikes of each neuron.
            overflow: scalar, truncated trains of the batch.
        """
        self.samples.assign_add(tf.cast(tf.shape(counts)[0], self.dtype))
        self.overflow.assign_add(tf.cast(overflow, self.dtype))
        self.spikes.assign_add(tf.cast(tf.reshape(tf.reduce_sum(counts, axis=0), [-1]), self.dtype))

    def silent(self):
        """Return which neurons have not fired, bool (neurons,)."""
        return tf.convert_to_tensor(self.spikes) == 0

    def result(self):
        """Return the three by name."""
        samples = tf.maximum(tf.convert_to_tensor(self.samples), 1)
        return {
            f"{self.layer}_spikes": tf.reduce_sum(self.spikes) / samples,
            f"{self.layer}_silent": tf.reduce_mean(tf.cast(self.silent(), self.dtype)),
            f"{self.layer}_overflow": self.overflow / samples,
        }
