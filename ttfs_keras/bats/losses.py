"""Losses on the spike trains of output neurons.

All take labels `(batch,)` or `(batch, 1)` and trains `(batch, classes, K)` in seconds, and are reduced as every Keras
loss. Their gradients are finite whatever is silent. A label that is none of the classes makes the loss NaN.
"""

import keras
import tensorflow as tf

from ttfs_keras import arguments
from ttfs_keras.bats.layer import HALF
from ttfs_keras.bats.readout import count, decay_score, first_spike


class _TrainLoss(keras.losses.Loss):
    """Base: checks shapes; subclasses define `per_sample` and their arguments' names."""

    own_arguments: tuple[str, ...] = ()

    def __init__(self, reduction="sum_over_batch_size", name=None, dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if self.dtype in HALF:
            raise ValueError(f"Spike times need dtype float32 or float64. Received: dtype={self.dtype}")

    def per_sample(self, is_label, times):
        """Return the losses `(batch,)` of trains `(batch, classes, K)`; `is_label` is bool `(batch, classes)`."""
        raise NotImplementedError  # abstract

    def call(self, y_true, y_pred):
        """Return the losses `(batch,)`."""
        is_label = one_hot(tf.convert_to_tensor(y_true), y_pred)
        losses = self.per_sample(is_label, y_pred)
        return tf.where(tf.reduce_any(is_label, axis=-1), losses, float("nan"))

    def get_config(self):
        """Return the constructor's arguments."""
        config = {name: getattr(self, name) for name in self.own_arguments}
        return {**super().get_config(), "dtype": self.dtype, **config}


def one_hot(y_true, y_pred):
    """Return bool `(batch, classes)`, true at the label.

    Args:
        y_true: labels `(batch,)` or `(batch, 1)`, integers of any dtype.
        y_pred: trains `(batch, classes, K)`.

    Raises:
        ValueError: the shapes are others.
    """
    labels = y_true.shape
    if not (len(y_pred.shape) == 3 and (labels.rank in (None, 1) or (labels.rank == 2 and labels[1] == 1))):
        raise ValueError(
            "Expected labels (batch,) or (batch, 1) and spike trains (batch, classes, K). "
            f"Received: labels of shape {labels}, trains of shape {y_pred.shape}"
        )
    classes = tf.range(tf.shape(y_pred)[1])
    return tf.reshape(y_true, (-1, 1)) == tf.cast(classes, y_true.dtype)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class TTFSSoftmaxCrossEntropy(_TrainLoss):
    """Cross entropy of a softmax over first spikes: the label's neuron is to fire before all others.

        L = -log softmax(-t/tau)[label],  t the first spike of each output neuron

    It is computed relative to the earliest spike, so that no tau underflows. Silent neurons have no part in the sum
    unless `silent_time` is given; a sample whose label's neuron is silent has loss 0 and gradient 0, and teaches
    nothing. With `silent_time` they count as firing then: the loss falls as the others fire later, and no sample is
    without a loss. Source: Bacho & Chu, arXiv 2212.09500; Göltz et al. (2021).

    Shapes: labels `(batch,)` or `(batch, 1)`, trains `(batch, classes, K)` in seconds, to `(batch,)` before reduction.

    Args:
        tau: seconds, > 0 (0.005 for MNIST).
        silent_time: seconds, >= 0, at which silent neurons count as firing (the simulation time plus any penalty), or
            None.
        reduction, name, dtype: as for `keras.losses.Loss`; dtype float32 or float64.

    Raises:
        ValueError: an argument is outside its range.
    """

    own_arguments = ("tau", "silent_time")

    def __init__(self, tau, silent_time=None, **kwargs):
        super().__init__(**kwargs)
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
        """Return the losses."""
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

    Shapes: labels `(batch,)` or `(batch, 1)`, trains `(batch, classes, K)` in seconds, to `(batch,)` before reduction.

    Args:
        target_true: spikes that the label's neuron should fire, >= 0 (15 for MNIST).
        target_false: spikes that the others should fire, >= 0 (3 for MNIST).
        reduction, name, dtype: as for `keras.losses.Loss`; dtype float32 or float64.

    Raises:
        ValueError: an argument is outside its range.
    """

    own_arguments = ("target_true", "target_false")

    def __init__(self, target_true, target_false, **kwargs):
        super().__init__(**kwargs)
        arguments.require("SpikeCount", *_targets(target_true, target_false))
        self.target_true = target_true
        self.target_false = target_false

    def per_sample(self, is_label, times):
        """Return the losses."""
        return _half_squares(self, is_label, count(times))


@keras.saving.register_keras_serializable(package="ttfs_keras")
class SpikeTime(_TrainLoss):
    """Squared distance of first spikes from their targets; silent neurons count as firing at a fixed time.

        L = 1/2 sum_i (t_i - target_i)^2,  t the first spike, or silent_time with gradient 0

    Source: Bacho & Chu's public code.

    Shapes: labels `(batch,)` or `(batch, 1)`, trains `(batch, classes, K)` in seconds, to `(batch,)` before reduction.

    Args:
        target_true: seconds, >= 0, at which the label's neuron should fire.
        target_false: seconds, >= 0, at which the others should fire.
        silent_time: seconds, >= 0.
        reduction, name, dtype: as for `keras.losses.Loss`; dtype float32 or float64.

    Raises:
        ValueError: an argument is outside its range.
    """

    own_arguments = ("target_true", "target_false", "silent_time")

    def __init__(self, target_true, target_false, silent_time, **kwargs):
        super().__init__(**kwargs)
        arguments.require(
            "SpikeTime",
            *_targets(target_true, target_false),
            (arguments.finite(silent_time, 0), "silent_time >= 0, finite", f"silent_time={silent_time}"),
        )
        self.target_true = target_true
        self.target_false = target_false
        self.silent_time = silent_time

    def per_sample(self, is_label, times):
        """Return the losses."""
        first, _ = _first(times, self.silent_time)
        return _half_squares(self, is_label, first)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class Decay(_TrainLoss):
    """Squared distance of decay scores from their targets; early spikes count more.

        L = 1/2 sum_i (score_i - target_i)^2,  score = sum_k exp(-rate t_k)        (see `readout.decay_score`)

    The code that this loss comes from sends target - score to every spike, which leaves the factor
    rate exp(-rate t_k) out and is no gradient of L; `exact=False` does the same. Source: the public capstone fork of
    Bacho & Chu's code.

    Shapes: labels `(batch,)` or `(batch, 1)`, trains `(batch, classes, K)` in seconds, to `(batch,)` before reduction.

    Args:
        rate: 1/s, > 0.
        target_true: score that the label's neuron should have, >= 0.
        target_false: score that the others should have, >= 0.
        exact: whether the gradient is that of L.
        reduction, name, dtype: as for `keras.losses.Loss`; dtype float32 or float64.

    Raises:
        ValueError: an argument is outside its range.
    """

    own_arguments = ("rate", "target_true", "target_false", "exact")

    def __init__(self, rate=6.0, target_true=10.0, target_false=0.7, exact=True, **kwargs):
        super().__init__(**kwargs)
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
        """Return the losses."""
        return _half_squares(self, is_label, decay_score(times, self.rate, self.exact))


def _targets(target_true, target_false):
    return [
        (arguments.finite(value, 0), f"{name} >= 0, finite", f"{name}={value}")
        for name, value in (("target_true", target_true), ("target_false", target_false))
    ]


def _first(times, silent_time):
    """Return first spikes with finite values for silent neurons, and which neurons count."""
    first = first_spike(times)
    fires = first < float("inf")
    if silent_time is None:
        return tf.where(fires, first, 0), fires
    return tf.where(fires, first, silent_time), tf.ones_like(fires)


def _half_squares(loss, is_label, values):
    # `tf.cast` would take a Python float through float32.
    targets = [tf.constant(target, values.dtype) for target in (loss.target_true, loss.target_false)]
    return 0.5 * tf.reduce_sum(tf.square(values - tf.where(is_label, *targets)), axis=-1)
