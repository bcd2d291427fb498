"""Rules by which the width of a firing window follows the activations while a network trains."""

import keras
import tensorflow as tf
from keras import ops

from ttfs_keras.network.replicas import gather_replicas


class WindowRule:
    """How a window moves during training; evaluation never calls it. Subclasses define `target`."""

    def target(self, window, potential):
        """Return the new width, a scalar in window time, for potentials `(batch, ..., neurons)`."""
        raise NotImplementedError  # abstract

    def update(self, window, potential):
        """Assign and return the new width.

        Args:
            window: the scalar non-trainable weight that holds the width, in window time.
            potential: `(batch, ..., neurons)` this batch's potentials, before the gate.
        """
        width = tf.stop_gradient(ops.cast(self.target(window, potential), window.dtype))
        window.assign(width)
        return width

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class FixedWindow(WindowRule):
    """The window stays as it is: activations beyond it saturate, a clipped ReLU (width 6 is ReLU6).

    Example:
        >>> neuron = tk.TTFSNeuron(window=6.0, window_rule=tk.FixedWindow())
        >>> neuron(np.array([[3.0, 9.0]]), training=True).numpy().tolist(), float(neuron.window)
        ([[3.0, 6.0]], 6.0)
    """

    def update(self, window, potential):
        """Return the width unchanged."""
        return ops.convert_to_tensor(window)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class Clip(FixedWindow):
    """The window is the source's own clip, as of ReLU6: that neurons saturate is what the source computes."""


@keras.saving.register_keras_serializable(package="ttfs_keras")
class GrowToMaximum(WindowRule):
    """The window grows, before the batch passes the gate, so that no activation of training ever overflows.

        X <- max(X, (1 + margin) max z)        over the batch and all replicas; it never shrinks

    Source: t_max(n) = t_min(n) + (1 + zeta) X_n of Stanojevic et al. (2024), zeta = margin. Because it grows before the
    gate and not after the batch, training follows the ReLU network's from the first step.

    Args:
        margin: share of room above the largest activation seen, >= 0.

    Raises:
        ValueError: margin is negative.

    Example:
        >>> neuron = tk.TTFSNeuron(window=1.0, window_rule=tk.GrowToMaximum(margin=0.5))
        >>> neuron(np.array([[3.0, 2.0]]), training=True).numpy().tolist(), float(neuron.window)
        ([[3.0, 2.0]], 4.5)
    """

    def __init__(self, margin: float = 0.5):
        if not margin >= 0:
            raise ValueError(f"A growing window needs a margin >= 0. Received: margin={margin}")
        self.margin = margin

    def target(self, window, potential):
        """Return the larger of the present width and this batch's largest potential plus margin."""
        largest = ops.max(gather_replicas(tf.reduce_max(potential)))
        return ops.maximum(window, (1 + self.margin) * largest)

    def get_config(self):
        return {"margin": self.margin}


def positive_quantile(potential, quantile):
    """Return the quantile of the positive entries of a tensor of any shape; 0 if none is positive.

    Args:
        potential: in window time.
        quantile: in (0, 1]; 1 is the maximum of the sample.
    """
    flat = tf.reshape(potential, [-1])
    # A quantile of a sorted sample this large is known to better than a batch's own scatter.
    ordered = tf.sort(flat[:: 1 + tf.size(flat) // 65536])
    size = tf.size(ordered)
    silent = tf.searchsorted(ordered, tf.zeros([1], flat.dtype), side="right")[0]
    rank = silent + tf.cast(tf.math.ceil(quantile * tf.cast(size - silent, tf.float32)), tf.int32) - 1
    padded = tf.concat([ordered, tf.zeros([1], flat.dtype)], 0)
    return tf.where(size > silent, padded[tf.maximum(rank, 0)], tf.zeros([], flat.dtype))


@keras.saving.register_keras_serializable(package="ttfs_keras")
class TrackQuantile(WindowRule):
    """The window follows a quantile of the positive potentials; what lies beyond saturates, and latency falls.

        X <- X + momentum ((1 + margin) Q(z | z > 0) - X)        Q averaged over replicas that have one

    Args:
        quantile: in (0, 1].
        margin: share of room above the quantile, > -1.
        momentum: in (0, 1], share of the way to this batch's quantile.

    Raises:
        ValueError: an argument is outside its range.

    Example:
        >>> neuron = tk.TTFSNeuron(window=1.0, window_rule=tk.TrackQuantile(0.5, momentum=1.0))
        >>> neuron(np.array([[1.0, 2.0, 3.0, -1.0]]), training=True).numpy().tolist(), float(neuron.window)
        ([[1.0, 2.0, 2.0, 0.0]], 2.0)
    """

    def __init__(self, quantile: float, margin: float = 0.0, momentum: float = 0.01):
        if not 0 < quantile <= 1 or not margin > -1 or not 0 < momentum <= 1:
            raise ValueError(
                "Expected 0 < quantile <= 1, margin > -1 and 0 < momentum <= 1. "
                f"Received: quantile={quantile}, margin={margin}, momentum={momentum}"
            )
        self.quantile = quantile
        self.margin = margin
        self.momentum = momentum

    def target(self, window, potential):
        """Return the width moved towards this batch's quantile; it stays where no potential is positive."""
        quantiles = gather_replicas(positive_quantile(potential, self.quantile))
        # A replica without positive potentials, or without samples, does not count.
        counted = ops.maximum(ops.sum(ops.cast(quantiles > 0, quantiles.dtype)), 1)
        batch = ops.sum(quantiles) / counted
        width = ops.where(batch > 0, (1 + self.margin) * batch, window)
        return window + self.momentum * (width - window)

    def get_config(self):
        return {"quantile": self.quantile, "margin": self.margin, "momentum": self.momentum}


def get(identifier):
    """Return a window rule: an instance, a serialized one, or None for `GrowToMaximum()`."""
    if identifier is None:
        return GrowToMaximum()
    rule = keras.saving.deserialize_keras_object(identifier) if isinstance(identifier, dict) else identifier
    if not isinstance(rule, WindowRule):
        raise ValueError(
            f"window_rule: expected None, GrowToMaximum, TrackQuantile or FixedWindow. Received: {identifier}"
        )
    return rule
