"""NaN in spike trains, for what is no layer: the op of the layers hands NaN on by itself."""

import tensorflow as tf


def nan_of(times: tf.Tensor) -> tf.Tensor:
    """Return NaN for trains with a time that is NaN and 0 for the others; what it is added to has NaN gradients too.

    Shapes: times `(batch, ..., K)` to `(batch, ...)`.
    """
    return tf.reduce_sum(tf.square(tf.where(tf.math.is_nan(times), times, 0)), axis=-1)


def any_nan(times: tf.Tensor) -> tf.Tensor:
    """Return whether any time is NaN, a bool scalar."""
    return tf.math.is_nan(tf.reduce_sum(times))  # unlike a minimum, a sum is NaN then on every device
