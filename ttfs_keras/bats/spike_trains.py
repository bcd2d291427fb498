"""The spiking protocol of layers that emit spike trains."""

import tensorflow as tf

from ttfs_keras.bats.readout import count, first_spike, is_silent
from ttfs_keras.network.spiking import Spiking


class SpikeTrains(Spiking):
    """Mixin of layers that emit trains `(batch, neurons..., max_spikes)` of times in seconds, padded with inf."""

    time_unit = "s"

    def spike_counts(self, output: tf.Tensor) -> tf.Tensor:
        """Return the lengths of the trains."""
        return count(output)

    def class_scores(self, output: tf.Tensor) -> tf.Tensor:
        """Return the spike counts, or if a train holds one spike only, minus its time; NaN if no neuron spiked."""
        scores = -first_spike(output) if output.shape[-1] == 1 else count(output)
        return tf.where(tf.reduce_all(is_silent(output), axis=-1, keepdims=True), float("nan"), scores)
