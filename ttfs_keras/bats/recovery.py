"""The regularizer of silent neurons, for which spike times have no gradient."""

from typing import Any

import keras
import tensorflow as tf

from ttfs_keras import arguments

__all__ = ["PeakPotential"]


@keras.saving.register_keras_serializable(package="ttfs_keras")
class PeakPotential:
    """A loss that raises the largest potential of silent neurons towards their threshold; for `recovery=`.

        L = strength / batch * sum over silent neurons of max(0, 1 - u_max/theta)

    u_max is exact and differentiable in closed form (u_max = tau b^2/(4a) at E = 2a/b between two inputs).

    Args:
        strength: weight of the loss, > 0.

    Raises:
        ValueError: strength is not positive and finite.

    Example:
        >>> layer = bats.BATSDense(10, threshold=1.0, recovery=bats.PeakPotential(0.1))
        >>> layer(np.zeros((2, 784, 1))).shape, len(layer.losses)
        (TensorShape([2, 10, 30]), 1)
    """

    def __init__(self, strength: float):
        arguments.require(
            "PeakPotential", (arguments.positive(strength), "strength > 0, finite", f"strength={strength!r}")
        )
        self.strength = strength

    def __call__(self, peaks: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        """Return the loss.

        Args:
            peaks: (batch, ..., units), u_max / theta, -inf without input spikes.
            counts: int32, the same shape, spikes of each neuron.
        """
        reachable = (counts == 0) & (peaks != -float("inf"))
        gap = tf.nn.relu(1 - tf.where(reachable, peaks, 1))
        samples = tf.cast(tf.maximum(tf.shape(counts)[0], 1), peaks.dtype)
        return self.strength * tf.reduce_sum(gap) / samples

    def get_config(self) -> dict[str, Any]:
        return {"strength": self.strength}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PeakPotential":
        return cls(**config)
