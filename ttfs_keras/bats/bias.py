"""The bias of a multi-spike network."""

import keras
import tensorflow as tf

from ttfs_keras.bats.layer import SpikeTrainLayer

__all__ = ["BiasNeuron"]


@keras.saving.register_keras_serializable(package="ttfs_keras")
class BiasNeuron(SpikeTrainLayer):
    """Append one neuron that spikes once, at time 0; the next layer's weights from it act as biases.

    A feature map gets one more channel, whose neurons all spike at 0.

    Shapes: trains `(batch, ..., neurons, K)` in seconds to `(batch, ..., neurons + 1, K)`.

    Raises:
        ValueError: an input is not `(batch, neurons..., K)`, or dtype is a half-precision one.

    Example:
        >>> bats.BiasNeuron()(np.full((1, 2, 1), 0.5)).numpy().tolist()
        [[[0.5], [0.5], [0.0]]]
    """

    def build(self, input_shape):
        self.check_rank(input_shape, "(batch, neurons..., K)")

    def call(self, times):
        bias = tf.fill(tf.shape(times[..., :1, :1]), tf.zeros((), times.dtype))
        slots = [(0, 0)] * (len(times.shape) - 1) + [(0, times.shape[-1] - 1)]
        return tf.concat([times, tf.pad(bias, slots, constant_values=float("inf"))], axis=-2)

    def compute_output_shape(self, input_shape):
        *rest, neurons, slots = input_shape
        return (*rest, None if neurons is None else neurons + 1, slots)
