"""Losses on the spike trains of output neurons.

All take labels `(batch,)`, `(batch, 1)` or one-hot `(batch, classes)` and trains `(batch, classes, K)` in seconds, and
are reduced as every Keras loss. Silent neurons do not make gradients NaN. The loss of a sample is NaN if its label is
none of the classes, its row of one-hot labels is not one-hot, or a time is NaN; the gradients of times NaN are NaN.
"""

from typing import Any

import keras
import tensorflow as tf

from ttfs_keras import arguments
from ttfs_keras.bats.layer import HALF
from ttfs_keras.bats.not_a_number import nan_of
from ttfs_keras.bats.readout import count, decay_score, first_spike

__all__ = ["Decay", "SpikeCount", "SpikeTime", "TTFSSoftmaxCrossEntropy"]


def __dir__() -> list[str]:
    return __all__


class _TrainLoss(keras.losses.Loss):
    """Base: checks shapes and labels; subclasses define `per_sample` and the names of their arguments."""

    own_arguments: tuple[str, ...] = ()

    def __init__(self, reduction: str | None, name: str | None, dtype: Any):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if self.dtype in HALF:
            raise ValueError(f"Spike times need dtype float32 or float64. Received: dtype={self.dtype}")

    def per_sample(self, is_label: tf.Tensor, times: tf.Tensor) -> tf.Tensor:
        """Return the losses `(batch,)` of trains `(batch, classes, K)`; `is_label` is bool `(batch, classes)`."""
        raise NotImplementedError  # abstract

    def call(self, y_true, y_pred):
        is_label = one_hot(tf.convert_to_tensor(y_true), y_pred)
        losses = self.per_sample(is_label, y_pred) + tf.reduce_sum(nan_of(y_pred), axis=-1)
        return tf.where(tf.reduce_any(is_label, axis=-1), losses, float("nan"))

    def get_config(self):
        config = {name: getattr(self, name) for name in self.own_arguments}
        return {**super().get_config(), "dtype": self.dtype, **config}


def one_hot(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Return bool `(batch, classes)`, true at the label; a row is all false where the label is none of the classes.

    Args:
        y_true: labels `(batch,)`, `(batch, 1)` or one-hot `(batch, classes)`, of any dtype.
        y_pred: trains `(batch, classes, K)`.

    Raises:
        ValueError: the shapes are others.
    """
    labels = y_true.shape
    known = labels.rank in (None, 1) or (labels.rank == 2 and labels[1] in (1, y_pred.shape[1]))
    if not (len(y_pred.shape) == 3 and known):
        raise ValueError(
            "Expected labels (batch,), (batch, 1) or one-hot (batch, classes), and spike trains (batch, classes, K). "
            f"Received: labels of shape {labels}, trains of shape {y_pred.shape}"
        )
    if labels.rank == 2 and labels[1] != 1:
        values = tf.cast(y_true, y_pred.dtype)
        return (values == 1) & (tf.reduce_sum(tf.abs(values), axis=-1, keepdims=True) == 1)
    classes = tf.range(tf.shape(y_pred)[1])
    return tf.reshape(y_true, (-1, 1)) == tf.cast(classes, y_true.dtype)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class TTFSSoftmaxCrossEntropy(_TrainLoss):
    """Cross entropy of a softmax over first spikes: the label's neuron should fire before all others.

        L = -log softmax(-t/tau)[label],  t the first spike of each output neuron

    It is computed relative to the earliest spike, so that small values of tau do not underflow. Without `silent_time`,
    silent neurons are left out of the sum, and a sample whose label's neuron is silent has loss 0 and gradient 0. With
    it, silent neurons count as firing at that time: where the label's neuron is silent, the loss falls as the others
    fire later. Source: Bacho & Chu, arXiv 2212.09500; Göltz et al. (2021).

    Shapes: labels `(batch,)`, `(batch, 1)` or one-hot, trains `(batch, classes, K)` in seconds, to `(batch,)`.

    Args:
        tau: seconds, > 0 (0.005 for MNIST).
        silent_time: seconds, >= 0, at which silent neurons count as firing (the simulation time or later), or None.
        reduction, name, dtype: as for `keras.losses.Loss`; dtype float32 or float64.

    Raises:
        ValueError: an argument is outside its range.

    Example:
        >>> loss = bats.losses.TTFSSoftmaxCrossEntropy(tau=0.005)
        >>> float(loss(np.array([0]), tf.constant([[[0.01], [0.2]]])))
        0.0
    """

    own_arguments = ("tau", "silent_time")

    def __init__(
        self,
        tau: float,
        silent_time: float | None = None,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(reduction, name, dtype)
        arguments.require(
            "TTFSSoftmaxCrossEntropy",
            (arguments.positive(tau), "tau > 0, finite", f"tau={tau}"),
            (
                silent_time is None or arguments.finite(silent_time, 0),
                "silent_time >= 0, finite, or None",
                f"silent_time={silent_time}",
            ),
        )
        self.tau = tau
        self.silent_time = silent_time

    def per_sample(self, is_label, times):
        first, fires = _first(times, self.silent_time)
        earliest = tf.reduce_min(tf.where(fires, first, float("inf")), axis=-1, keepdims=True)
        earliest = tf.stop_gradient(tf.where(earliest < float("inf"), earliest, 0))
        logits = tf.where(fires, (earliest - first) / self.tau, 0)
        partition = tf.reduce_sum(tf.where(fires, tf.exp(logits), 0), axis=-1)
        defined = tf.reduce_any(is_label & fires, axis=-1)
        label = tf.reduce_sum(tf.where(is_label, logits, 0), axis=-1)
        return tf.where(defined, tf.math.log(tf.where(defined, partition, 1)) - label, 0)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class SpikeCount(_TrainLoss):
    """Squared distance of spike counts from their targets.

        L = 1/2 sum_i (target_i - n_i)^2,  dL/dt_ik = target_i - n_i        (see `readout.count`)

    Source: Bacho & Chu, arXiv 2212.09500.

    Shapes: labels `(batch,)`, `(batch, 1)` or one-hot, trains `(batch, classes, K)` in seconds, to `(batch,)`.

    Args:
        target_true: spikes that the label's neuron should fire, >= 0 (15 for MNIST).
        target_false: spikes that the others should fire, >= 0 (3 for MNIST).
        reduction, name, dtype: as for `keras.losses.Loss`; dtype float32 or float64.

    Raises:
        ValueError: an argument is outside its range.

    Example:
        >>> loss = bats.losses.SpikeCount(target_true=3, target_false=0)
        >>> float(loss(np.array([0]), tf.constant([[[0.1, 0.2], [0.1, np.inf]]])))
        1.0
    """

    own_arguments = ("target_true", "target_false")

    def __init__(
        self,
        target_true: float,
        target_false: float,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(reduction, name, dtype)
        arguments.require("SpikeCount", *_targets(target_true, target_false))
        self.target_true = target_true
        self.target_false = target_false

    def per_sample(self, is_label, times):
        return _half_squares(self, is_label, count(times))


@keras.saving.register_keras_serializable(package="ttfs_keras")
class SpikeTime(_TrainLoss):
    """Squared distance of first spikes from their targets; silent neurons count as firing at a fixed time.

        L = 1/2 sum_i (t_i - target_i)^2,  t the first spike, or silent_time with gradient 0

    Source: Bacho & Chu's public code.

    Shapes: labels `(batch,)`, `(batch, 1)` or one-hot, trains `(batch, classes, K)` in seconds, to `(batch,)`.

    Args:
        target_true: seconds, >= 0, at which the label's neuron should fire.
        target_false: seconds, >= 0, at which the others should fire.
        silent_time: seconds, >= 0.
        reduction, name, dtype: as for `keras.losses.Loss`; dtype float32 or float64.

    Raises:
        ValueError: an argument is outside its range.

    Example:
        >>> loss = bats.losses.SpikeTime(target_true=0.0, target_false=1.0, silent_time=1.0)
        >>> float(loss(np.array([0]), tf.constant([[[1.0], [np.inf]]])))
        0.5
    """

    own_arguments = ("target_true", "target_false", "silent_time")

    def __init__(
        self,
        target_true: float,
        target_false: float,
        silent_time: float,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(reduction, name, dtype)
        arguments.require(
            "SpikeTime",
            *_targets(target_true, target_false),
            (arguments.finite(silent_time, 0), "silent_time >= 0, finite", f"silent_time={silent_time}"),
        )
        self.target_true = target_true
        self.target_false = target_false
        self.silent_time = silent_time

    def per_sample(self, is_label, times):
        first, _ = _first(times, self.silent_time)
        return _half_squares(self, is_label, first)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class Decay(_TrainLoss):
    """Squared distance of decay scores from their targets; early spikes count more.

        L = 1/2 sum_i (score_i - target_i)^2,  score = sum_k exp(-rate t_k)        (see `readout.decay_score`)

    With `exact=False` the gradient of every spike is target - score, as in the source, without the factor
    rate exp(-rate t_k) of the gradient of L. Source: the public capstone fork of
    Bacho & Chu's code.

    Shapes: labels `(batch,)`, `(batch, 1)` or one-hot, trains `(batch, classes, K)` in seconds, to `(batch,)`.

    Args:
        rate: 1/s, > 0.
        target_true: score that the label's neuron should have, >= 0.
        target_false: score that the others should have, >= 0.
        exact: whether to use the gradient of L.
        reduction, name, dtype: as for `keras.losses.Loss`; dtype float32 or float64.

    Raises:
        ValueError: an argument is outside its range.

    Example:
        >>> loss = bats.losses.Decay(rate=6.0, target_true=2.0, target_false=0.0)
        >>> float(loss(np.array([0]), tf.constant([[[0.0], [np.inf]]])))
        0.5
    """

    own_arguments = ("rate", "target_true", "target_false", "exact")

    def __init__(
        self,
        rate: float = 6.0,
        target_true: float = 10.0,
        target_false: float = 0.7,
        exact: bool = True,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(reduction, name, dtype)
        arguments.require(
            "Decay",
            (arguments.positive(rate), "rate > 0, finite", f"rate={rate}"),
            *_targets(target_true, target_false),
        )
        self.rate = rate
        self.target_true = target_true
        self.target_false = target_false
        self.exact = exact

    def per_sample(self, is_label, times):
        return _half_squares(self, is_label, decay_score(times, self.rate, self.exact))


def _targets(target_true, target_false):
    return [
        (arguments.finite(value, 0), f"{name} >= 0, finite", f"{name}={value}")
        for name, value in (("target_true", target_true), ("target_false", target_false))
    ]


def _first(times: tf.Tensor, silent_time: float | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Return first spikes with finite values for silent neurons, and which neurons count."""
    first = first_spike(times)
    fires = ~tf.math.is_inf(first)
    if silent_time is None:
        return tf.where(fires, first, 0), fires
    return tf.where(fires, first, silent_time), tf.ones_like(fires)


def _half_squares(loss, is_label, values):
    # `tf.cast` would take a Python float through float32.
    targets = [tf.constant(target, values.dtype) for target in (loss.target_true, loss.target_false)]
    return 0.5 * tf.reduce_sum(tf.square(values - tf.where(is_label, *targets)), axis=-1)
