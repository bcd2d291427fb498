"""What every layer that emits spikes in time steps says about them."""

import tensorflow as tf

from ttfs_keras.network.spiking import Spiking


class StepSpikes(Spiking):
    """Mixin of layers that emit sequences `(batch, time, neurons...)` of spikes, 0 or 1."""

    time_unit = "steps"

    def spike_counts(self, output: tf.Tensor) -> tf.Tensor:
        """Return the sums over time."""
        return tf.reduce_sum(output, axis=1)

    def class_scores(self, output: tf.Tensor) -> tf.Tensor:
        """Return the counts."""
        return self.spike_counts(output)

    def spikes_end(self, arriving: float, shape: tuple) -> float:
        """Return the number of steps."""
        return shape[1]
