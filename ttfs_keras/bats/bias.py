"""The bias of a multi-spike network."""

import keras
import tensorflow as tf

from ttfs_keras.bats.layer import SpikeTrainLayer


@keras.saving.register_keras_serializable(package="ttfs_keras")
class BiasNeuron(SpikeTrainLayer):
    """Append one input neuron that spikes once, at 0: its weights are the biases of the layer behind.

    A feature map gets one channel more, whose neurons all spike at 0.

    Shapes: trains `(batch, ..., neurons, K)` in seconds to `(batch, ..., neurons + 1, K)`.

    Raises:
        ValueError: an input is not `(batch, neurons..., K)`, or dtype is a half-precision one.
    """

    def build(self, input_shape):
        """Check the input's shape."""
        self.check_rank(input_shape, "(batch, neurons..., K)")

    def call(self, times):
        """Return the trains."""
        bias = tf.fill(tf.shape(times[..., :1, :1]), tf.zeros((), times.dtype))
        slots = [(0, 0)] * (len(times.shape) - 1) + [(0, times.shape[-1] - 1)]
        return tf.concat([times, tf.pad(bias, slots, constant_values=float("inf"))], axis=-2)

    def compute_output_shape(self, input_shape):
        """Return the shape with one neuron more."""
        *rest, neurons, slots = input_shape
        return (*rest, None if neurons is None else neurons + 1, slots)
