"""Threshold-dependent batch normalization."""

import logging
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from ttfs_keras import arguments
from ttfs_keras.network.graph import layers_of
from ttfs_keras.network.replicas import gather_replicas
from ttfs_keras.stbp.time import check_sequence

_LOG = logging.getLogger("ttfs_keras")


@keras.saving.register_keras_serializable(package="ttfs_keras")
class ThresholdDependentBatchNormalization(keras.layers.Layer):
    """Normalize each channel over time, batch and space together, to the scale of the neurons' threshold.

        y = gamma alpha V_th (x - mean)/sqrt(variance + epsilon) + beta        gamma = 1 and beta = 0 at first

    Source: Zheng et al., arXiv 2011.05280. Where n branches join each needs alpha = 1/sqrt(n), so that their sum has
    the standard deviation V_th. In inference, and in training while the layer is frozen, mean and variance are the
    moving ones, `moving <- momentum moving + (1 - momentum) batch`. Replicas that train together share the batch's.

    Shapes: `(batch, time, features)` or `(batch, time, height, width, channels)` to the same shape.

    Args:
        threshold: V_th of the neurons that follow, > 0, in units of their potential.
        alpha: > 0; 1 in a chain.
        momentum: of the moving statistics, in [0, 1).
        epsilon: > 0.

    Raises:
        ValueError: an argument is outside its range, or the input has no surely known time axis.

    Example:
        >>> layer = stbp.ThresholdDependentBatchNormalization(threshold=0.4)
        >>> outputs = layer(np.random.default_rng(0).normal(3.0, 2.0, (100, 2, 5)), training=True).numpy()
        >>> abs(outputs.mean().round(3)), outputs.std().round(3)
        (np.float32(0.0), np.float32(0.4))
    """

    def __init__(
        self, threshold: float, alpha: float = 1.0, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs: Any
    ):
        super().__init__(**kwargs)
        problems = [
            *(["threshold > 0"] if not arguments.positive(threshold) else []),
            *(["alpha > 0"] if not arguments.positive(alpha) else []),
            *(["0 <= momentum < 1"] if not (arguments.finite(momentum, 0) and momentum < 1) else []),
            *(["epsilon > 0"] if not arguments.positive(epsilon) else []),
        ]
        if problems:
            raise ValueError(
                f"{self.name}: expected {' and '.join(problems)}. "
                f"Received: threshold={threshold}, alpha={alpha}, momentum={momentum}, epsilon={epsilon}"
            )
        self.threshold = float(threshold)
        self.alpha = float(alpha)
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)

    def build(self, input_shape):
        check_sequence(self, input_shape)
        channels = (input_shape[-1],)
        # Half precision would round what is added up over thousands of steps.
        self.gamma = self.add_weight(name="gamma", shape=channels, initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=channels, initializer="zeros", autocast=False)
        state = {"trainable": False, "autocast": False, "aggregation": "only_first_replica"}
        self.moving_mean = self.add_weight(name="moving_mean", shape=channels, initializer="zeros", **state)
        self.moving_variance = self.add_weight(name="moving_variance", shape=channels, initializer="ones", **state)
        self.steps = self.add_weight(name="steps", shape=(), initializer="zeros", dtype="int32", **state)

    def call(self, inputs, training=False):
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        values, beta = ops.cast(inputs, dtype), ops.cast(self.beta, dtype)
        scale = ops.cast(self.gamma, dtype) * (self.alpha * self.threshold)
        if training and self.trainable:
            outputs, *statistics = _normalize_batch(values, scale, beta, self.epsilon)
            self._follow(*statistics)
        else:
            self._warn_if_untrained()
            scale *= ops.rsqrt(ops.cast(self.moving_variance, dtype) + self.epsilon)
            outputs = values * scale + (beta - ops.cast(self.moving_mean, dtype) * scale)
        return ops.cast(outputs, self.compute_dtype)

    def _follow(self, mean, variance, count):
        """Move the moving statistics towards a batch's, unless it is empty."""
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            old = ops.convert_to_tensor(moving)
            # With a momentum of 0 exactly the batch's: a difference to the old would leave its rounding behind.
            new = self.momentum * old + (1 - self.momentum) * ops.cast(tf.stop_gradient(batch), old.dtype)
            moving.assign(ops.where(count > 0, new, old))
        self.steps.assign(ops.convert_to_tensor(self.steps) + ops.cast(count > 0, "int32"))

    def _warn_if_untrained(self):
        if tf.distribute.has_strategy():
            return  # a replica cannot read its copies from outside of the graph
        # A graph cannot log, but the Python that traces it can.
        with tf.init_scope():
            if tf.executing_eagerly() and not int(self.steps):
                _LOG.warning("%s: evaluated with statistics that no training step has made", self.name)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "threshold": self.threshold,
            "alpha": self.alpha,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }


def _normalize_batch(values, scale, offset, epsilon):
    """Return normalized values, mean and variance `(channels,)`, and the number of values of a channel."""
    context = tf.distribute.get_replica_context()
    together = context is not None and context.num_replicas_in_sync > 1
    if values.dtype == tf.float32 and not together:
        return _normalize_fused(values, scale, offset, epsilon)
    mean, variance, count = _moments(values)
    return tf.nn.batch_normalization(values, mean, variance, offset, scale, epsilon), mean, variance, count


def _normalize_fused(values, scale, offset, epsilon):
    shape = ops.shape(values)
    # The kernel wants four dimensions.
    space = shape[2:4] if len(shape) == 5 else (1, 1)
    folded = tf.reshape(values, (-1, *space, shape[-1]))
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=folded, scale=scale, offset=offset, mean=[], variance=[], epsilon=epsilon, is_training=True
    )
    count = tf.cast(tf.reduce_prod(tf.shape(values)[:-1]), values.dtype)
    # The kernel gives the unbiased estimate.
    biased = tf.maximum(count - 1, 1) / tf.maximum(count, 1)
    return tf.reshape(outputs, shape), mean, variance * biased, count


def _moments(values):
    """Return mean, variance and count of a channel over all replicas."""
    axes = tuple(range(values.shape.rank - 1))
    count = tf.cast(tf.reduce_prod(tf.shape(values)[:-1]), values.dtype)
    mean = tf.reduce_sum(values, axes) / tf.maximum(count, 1)
    variance = tf.reduce_sum((values - mean) ** 2, axes) / tf.maximum(count, 1)
    # Together in one exchange. Sums of squares of all replicas would cancel where the mean is large.
    gathered = gather_replicas(tf.stack([tf.fill(tf.shape(mean), count), mean, variance]))
    counts, means, variances = gathered[:, 0], gathered[:, 1], gathered[:, 2]
    shares = counts / tf.maximum(tf.reduce_sum(counts, 0), 1)
    mean = tf.reduce_sum(shares * means, 0)
    variance = tf.reduce_sum(shares * (variances + (means - mean) ** 2), 0)
    return mean, variance, tf.reduce_sum(counts[:, 0])


def check_trained(model: keras.Model) -> None:
    """Refuse a model with batch norms whose statistics no training step has made.

    Args:
        model: `keras.Model`.

    Raises:
        ValueError: lists these layers.

    Example:
        >>> stbp.check_trained(keras.Sequential([keras.Input((2, 3)), keras.layers.Dense(1)]))
    """
    norms = layers_of(model, ThresholdDependentBatchNormalization)
    untrained = [layer.name for layer in norms if not int(layer.steps)]
    if untrained:
        raise ValueError(
            f"Expected batch norms with statistics: train the model or load its weights first. "
            f"Received: no training step in {', '.join(untrained)}"
        )
