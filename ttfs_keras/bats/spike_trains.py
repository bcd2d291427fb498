"""What every layer that emits spike trains says about its spikes."""

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
        """Return the counts, or where a neuron can spike once only, how early it did; NaN if no neuron spiked."""
        scores = -first_spike(output) if output.shape[-1] == 1 else count(output)
        return tf.where(tf.reduce_all(is_silent(output), axis=-1, keepdims=True), float("nan"), scores)
