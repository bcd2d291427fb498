"""A way back for silent neurons, which the gradients of spike times cannot reach."""

import keras
import tensorflow as tf

from ttfs_keras import arguments


@keras.saving.register_keras_serializable(package="ttfs_keras")
class PeakPotential:
    """A loss that lifts the largest potential of silent neurons towards their threshold.

        L = strength / batch * sum over silent neurons of max(0, 1 - u_max/theta)

    u_max is exact and differentiable in closed form (u_max = tau b^2/(4a) at E = 2a/b between two inputs).

    Args:
        strength: weight of the loss, > 0.

    Raises:
        ValueError: strength is something else.
    """

    def __init__(self, strength):
        arguments.require(
            "PeakPotential", (arguments.positive(strength), "strength > 0, finite", f"strength={strength!r}")
        )
        self.strength = strength

    def __call__(self, peaks, counts):
        """Return the loss.

        Args:
            peaks: (batch, ..., units), u_max / theta, -inf without input spikes.
            counts: int32, the same shape, spikes of each neuron.
        """
        reachable = (counts == 0) & tf.math.is_finite(peaks)
        gap = tf.nn.relu(1 - tf.where(reachable, peaks, 1))
        samples = tf.cast(tf.maximum(tf.shape(counts)[0], 1), peaks.dtype)
        return self.strength * tf.reduce_sum(gap) / samples

    def get_config(self):
        """Return the constructor's arguments."""
        return {"strength": self.strength}

    @classmethod
    def from_config(cls, config):
        """Return what `get_config` describes."""
        return cls(**config)
