"""NaN that reaches a multi-spike layer leaves it as NaN, and so do its gradients.

The op leaves events that are NaN out, so that their neurons would only seem silent. Where there is no NaN, all of this
costs two sums over tensors that the op reads anyway, and copies nothing.
"""

import tensorflow as tf


def nan_of(times: tf.Tensor) -> tf.Tensor:
    """Return NaN for trains with a time that is NaN and 0 for the others; what it is added to has NaN gradients too.

    Shapes: times `(batch, ..., K)` to `(batch, ...)`.
    """
    return tf.reduce_sum(tf.square(tf.where(tf.math.is_nan(times), times, 0)), axis=-1)


def any_nan(times: tf.Tensor) -> tf.Tensor:
    """Return whether any time is NaN, a bool scalar."""
    return tf.math.is_nan(tf.reduce_sum(times))  # unlike a minimum, a sum is NaN then on every device


def affected(times: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Return whether any time is NaN or any weight not finite, a bool scalar."""
    return any_nan(times) | ~tf.math.is_finite(tf.reduce_sum(kernel))


def without_nan(tensor: tf.Tensor, affected: tf.Tensor, value: float) -> tf.Tensor:
    """Return a tensor with another value in place of NaN; where the layer is affected, its gradient is NaN."""

    @tf.custom_gradient
    def replaced(tensor):
        def gradient(upstream):
            return tf.cond(affected, lambda: upstream * float("nan"), lambda: upstream)

        return tf.cond(
            affected, lambda: tf.where(tf.math.is_nan(tensor), replacement, tensor), lambda: tensor
        ), gradient

    replacement = tf.constant(value, tensor.dtype)
    return replaced(tensor)


def with_nan(spikes: tf.Tensor, times: tf.Tensor, kernel: tf.Tensor, affected: tf.Tensor) -> tf.Tensor:
    """Return a layer's trains, NaN for samples with NaN among their input and neurons with a weight that is not finite.

    Args:
        spikes: (batch, ..., neurons, max_spikes), the layer's output.
        times: (batch, ..., slots), its input.
        kernel: (..., neurons).
        affected: bool scalar, see `affected`.
    """

    @tf.custom_gradient  # `tf.cond` alone would add zeros to the gradients of times and kernel
    def marked(spikes):
        def marks():
            samples = tf.reduce_sum(nan_of(times), axis=range(1, times.shape.rank - 1))
            samples = tf.reshape(samples, [-1] + [1] * (spikes.shape.rank - 1))
            neurons = tf.reduce_sum(0 * kernel, axis=range(kernel.shape.rank - 1))
            return spikes + samples + neurons[:, tf.newaxis]

        return tf.cond(affected, marks, lambda: spikes), lambda upstream: upstream

    return marked(spikes)
