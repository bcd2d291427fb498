"""NaN that reaches a multi-spike layer leaves it as NaN, and so do its gradients.

The op leaves events that are NaN out, so that their neurons would only seem silent.
"""

import tensorflow as tf


def nan_of(times: tf.Tensor) -> tf.Tensor:
    """Return NaN for trains with a time that is NaN and 0 for the others; what it is added to has NaN gradients too.

    Shapes: times `(batch, ..., K)` to `(batch, ...)`.
    """
    return tf.reduce_sum(tf.square(tf.where(tf.math.is_nan(times), times, 0)), axis=-1)


def without_nan(times: tf.Tensor) -> tf.Tensor:
    """Return trains with empty slots in place of NaN, which the op refuses on a CPU; no copy where there is none."""
    return tf.cond(any_nan(times), lambda: tf.where(~tf.math.is_nan(times), times, float("inf")), lambda: times)


def with_nan(spikes: tf.Tensor, times: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Return a layer's trains, NaN for samples with NaN among their input and neurons with a weight that is not finite.

    Two sums over what the layer reads anyway: about 1 % of a training step.

    Args:
        spikes: (batch, ..., neurons, max_spikes), the layer's output.
        times: (batch, ..., slots), its input.
        kernel: (..., neurons).
    """

    def marked():
        samples = tf.reduce_sum(nan_of(times), axis=range(1, times.shape.rank - 1))
        # Of all weights, so that a gradient that comes back as NaN reaches them through neurons without a spike too.
        neurons = tf.reduce_sum(0 * kernel, axis=range(kernel.shape.rank - 1))
        samples = tf.reshape(samples, [-1] + [1] * (spikes.shape.rank - 1))
        return spikes + samples + neurons[:, tf.newaxis]

    # A sum that overflows is none of these: `marked` then adds 0.
    affected = any_nan(times) | ~tf.math.is_finite(tf.reduce_sum(kernel))
    return tf.cond(affected, marked, lambda: spikes)


def any_nan(times: tf.Tensor) -> tf.Tensor:
    """Return whether any time is NaN, a bool scalar."""
    return tf.math.is_nan(tf.reduce_min(times))
