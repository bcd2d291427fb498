"""What losses and metrics compute from spike trains `(batch, ..., neurons, K)`: differentiable, NaN where a time is."""

import tensorflow as tf

from ttfs_keras.bats.not_a_number import nan_of

__all__ = ["count", "decay_score", "first_spike", "is_silent"]


@tf.custom_gradient
def count(times: tf.Tensor) -> tf.Tensor:
    """Return how many spikes each train has, with the surrogate gradient of BATS.

        n = #{k: t_k < inf}        d(n)/dt_k := -1 for every spike k, 0 for empty slots

    The sign: where spikes come earlier, one more fits into the simulation time. It is the only surrogate gradient in
    BATS. Source: Bacho & Chu, arXiv 2212.09500.

    Shapes: times `(batch, ..., K)` in seconds to counts `(batch, ...)` of the same dtype.

    Example:
        >>> from ttfs_keras.bats.readout import count
        >>> count(tf.constant([[[0.1, 0.2, np.inf], [np.inf, np.inf, np.inf]]])).numpy().tolist()
        [[2.0, 0.0]]
    """

    def gradient(upstream):
        return tf.where(tf.math.is_inf(times), tf.zeros((), times.dtype), -upstream[..., tf.newaxis])

    return tf.reduce_sum(tf.cast(tf.math.is_finite(times), times.dtype), axis=-1) + nan_of(times), gradient


def first_spike(times: tf.Tensor) -> tf.Tensor:
    """Return the first spike of each train; inf where silent. Its gradient goes to the first slot.

    Shapes: times `(batch, ..., K)` in seconds, ascending, to `(batch, ...)`.

    Example:
        >>> from ttfs_keras.bats.readout import first_spike
        >>> first_spike(tf.constant([[[0.5, 0.75], [np.inf, np.inf]]])).numpy().tolist()
        [[0.5, inf]]
    """
    first = times[..., 0]
    # The branch not taken has no gradient.
    return tf.where(~tf.math.is_inf(first), first, float("inf")) + nan_of(times)


def is_silent(times: tf.Tensor) -> tf.Tensor:
    """Return whether each train has no spike; NaN is none.

    Shapes: times `(batch, ..., K)` in seconds to bool `(batch, ...)`.

    Example:
        >>> from ttfs_keras.bats.readout import is_silent
        >>> is_silent(tf.constant([[[0.5, 0.75], [np.inf, np.inf]]])).numpy().tolist()
        [[False, True]]
    """
    return ~tf.reduce_any(tf.math.is_finite(times), axis=-1)


def decay_score(times: tf.Tensor, rate: float, exact: bool = True) -> tf.Tensor:
    """Return the sum over all spikes of a weight that decays with time.

        score = sum_k exp(-rate t_k)        d(score)/dt_k = -rate exp(-rate t_k), or -1 with exact=False

    Shapes: times `(batch, ..., K)` in seconds to `(batch, ...)`.

    Args:
        times: as above.
        rate: 1/s.
        exact: False for the gradient of the code that the score comes from, which leaves a factor out.

    Example:
        >>> from ttfs_keras.bats.readout import decay_score
        >>> decay_score(tf.constant([[[0.0, np.inf], [np.inf, np.inf]]]), rate=6.0).numpy().tolist()
        [[1.0, 0.0]]
    """
    filled = ~tf.math.is_inf(times)
    weights = tf.exp(-rate * tf.where(filled, times, 0))
    score = tf.reduce_sum(tf.where(filled, weights, 0), axis=-1)
    if exact:
        return score
    counted = count(times)  # whose gradient `exact=False` takes
    return tf.stop_gradient(score) + (counted - tf.stop_gradient(counted))
