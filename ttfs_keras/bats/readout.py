"""What losses and metrics read off spike trains `(batch, ..., neurons, K)`: differentiable, never NaN."""

import tensorflow as tf


@tf.custom_gradient
def count(times):
    """Return how many spikes each train has, with the surrogate gradient of BATS.

        n = #{k: t_k < inf}        d(n)/dt_k := -1 for every spike k, 0 for empty slots

    An earlier spike makes room for one more; it is the only surrogate in BATS. Source: Bacho & Chu, arXiv 2212.09500.

    Shapes: times `(batch, ..., K)` in seconds to counts `(batch, ...)` of the same dtype.
    """
    spikes = tf.math.is_finite(times)

    def gradient(upstream):
        return tf.where(spikes, -upstream[..., tf.newaxis], tf.zeros((), times.dtype))

    return tf.reduce_sum(tf.cast(spikes, times.dtype), axis=-1), gradient


def first_spike(times):
    """Return the first spike of each train; inf where silent. Its gradient goes to the first slot.

    Shapes: times `(batch, ..., K)` in seconds, ascending, to `(batch, ...)`.
    """
    first = times[..., 0]
    # NaN, which no layer emits, counts as silence; the branch not taken has no gradient.
    return tf.where(first < float("inf"), first, float("inf"))


def is_silent(times):
    """Return whether each train has no spike.

    Shapes: times `(batch, ..., K)` in seconds to bool `(batch, ...)`.
    """
    return ~tf.reduce_any(tf.math.is_finite(times), axis=-1)


def decay_score(times, rate, exact=True):
    """Return the sum over all spikes of a weight that decays with time.

        score = sum_k exp(-rate t_k)        d(score)/dt_k = -rate exp(-rate t_k), or -1 with exact=False

    Shapes: times `(batch, ..., K)` in seconds to `(batch, ...)`.

    Args:
        times: as above.
        rate: 1/s.
        exact: False for the gradient of the code that the score comes from, which leaves a factor out.
    """
    spikes = tf.math.is_finite(times)
    weights = tf.exp(-rate * tf.where(spikes, times, 0))
    score = tf.reduce_sum(tf.where(spikes, weights, 0), axis=-1)
    if exact:
        return score
    counted = count(times)  # whose gradient is the one asked for
    return tf.stop_gradient(score) + (counted - tf.stop_gradient(counted))
