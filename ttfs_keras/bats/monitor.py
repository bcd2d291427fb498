"""Metrics of how much a multi-spike layer fires."""

import keras
import tensorflow as tf

__all__ = ["SpikeMonitor"]


class SpikeMonitor(keras.metrics.Metric):
    """Spikes per sample, share of silent neurons and truncated trains of a layer, over all batches since the reset.

    The results are `<layer>_spikes`, mean spikes of the layer per sample; `<layer>_silent`, share of neurons that fired
    for no sample; `<layer>_overflow`, trains per sample that were full when their neuron would have fired again.

    Args:
        layer: name of the layer.
        neurons: number of its neurons.

    Example:
        >>> layer = bats.BATSDense(10, name="output")
        >>> trains = layer(np.zeros((2, 784, 1)))
        >>> sorted(layer.monitor.result())
        ['output_overflow', 'output_silent', 'output_spikes']
    """

    def __init__(self, layer: str, neurons: int):
        super().__init__(name=f"{layer}_spikes", dtype="float32")
        self.layer = layer
        # Spikes of each neuron, samples, overflow: one variable, since each one costs time in every training step.
        self.totals = self.add_variable((neurons + 2,), "zeros", name="totals")

    def update_state(self, counts: tf.Tensor, overflow: tf.Tensor) -> None:
        """Add a batch.

        Args:
            counts: int32 (batch, ..., units), spikes of each neuron.
            overflow: scalar, truncated trains of the batch.
        """
        spikes = tf.reshape(tf.reduce_sum(counts, axis=0), [-1])
        others = tf.stack([tf.shape(counts)[0], tf.cast(overflow, counts.dtype)])
        self.totals.assign_add(tf.cast(tf.concat([spikes, others], axis=0), self.dtype))

    def silent(self) -> tf.Tensor:
        """Return whether each neuron has not fired, bool (neurons,)."""
        return tf.convert_to_tensor(self.totals)[:-2] == 0

    def result(self) -> dict[str, tf.Tensor]:
        """Return the three results by name."""
        totals = tf.convert_to_tensor(self.totals)
        samples = tf.maximum(totals[-2], 1)
        return {
            f"{self.layer}_spikes": tf.reduce_sum(totals[:-2]) / samples,
            f"{self.layer}_silent": tf.reduce_mean(tf.cast(self.silent(), self.dtype)),
            f"{self.layer}_overflow": totals[-1] / samples,
        }
