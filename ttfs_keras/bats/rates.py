"""The regularizer of firing rates."""

import keras
import tensorflow as tf

from ttfs_keras import arguments
from ttfs_keras.bats.readout import count
from ttfs_keras.network.activity import undivided

__all__ = ["FiringRate"]


@keras.saving.register_keras_serializable(package="ttfs_keras")
class FiringRate(keras.regularizers.Regularizer):
    """Penalise neurons that fire less or more often than given bounds; for `activity_regularizer=`.

        n_i = mean over the batch (of a replica) of the spikes of neuron i
        penalty = strength mean_i (max(minimum - n_i, 0)^2 + max(n_i - maximum, 0)^2)

    A layer adds the penalty to the loss, independent of the batch size: Keras 3.14 and later divide what an
    `activity_regularizer` returns by the batch size, and a call then returns the penalty times it. The gradient is
    that of the count (see `readout.count`), so that it is 0 for a neuron without any spike in the batch.

    Shapes: trains `(batch, neurons..., K)` in seconds to a scalar.

    Args:
        minimum: spikes per sample, >= 0.
        maximum: spikes per sample, >= minimum, or None for no limit.
        strength: >= 0.

    Raises:
        ValueError: an argument is outside its range.

    Example:
        >>> layer = bats.BATSDense(10, activity_regularizer=bats.FiringRate(minimum=0.5, maximum=4.0, strength=0.1))
        >>> layer(np.zeros((2, 784, 1))).shape, len(layer.losses)
        (TensorShape([2, 10, 30]), 1)
    """

    def __init__(self, minimum: float = 0.0, maximum: float | None = None, strength: float = 1.0):
        arguments.require(
            "FiringRate",
            (arguments.finite(minimum, 0), "minimum >= 0, finite", f"minimum={minimum}"),
            (
                maximum is None
                or (arguments.finite(maximum) and not (arguments.finite(minimum) and maximum < minimum)),
                "maximum >= minimum, finite, or None",
                f"maximum={maximum}",
            ),
            (arguments.finite(strength, 0), "strength >= 0, finite", f"strength={strength}"),
        )
        self.minimum = minimum
        self.maximum = maximum
        self.strength = strength

    def __call__(self, times: tf.Tensor) -> tf.Tensor:
        """Return the penalty of trains, times the batch size if Keras divides by it."""
        counts = count(times)
        batch = tf.cast(tf.shape(counts)[0], counts.dtype)
        mean = tf.math.divide_no_nan(tf.reduce_sum(counts, axis=0), batch)
        excess = tf.square(tf.nn.relu(self.minimum - mean))
        if self.maximum is not None:
            excess += tf.square(tf.nn.relu(mean - self.maximum))
        return undivided(self.strength * tf.reduce_mean(excess), counts)

    def get_config(self):
        return {"minimum": self.minimum, "maximum": self.maximum, "strength": self.strength}
