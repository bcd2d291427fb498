"""Metrics on the spike trains of output neurons.

All take labels `(batch,)`, `(batch, 1)` or one-hot `(batch, classes)` and trains `(batch, classes, K)` in seconds. Of
neurons that tie, the one with the lowest index is the answer. Samples without output spikes, and samples with NaN among
their output spikes, count as wrong.
"""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from ttfs_keras import arguments
from ttfs_keras.bats.losses import one_hot
from ttfs_keras.bats.readout import count, decay_score, first_spike, is_silent

__all__ = ["CountAccuracy", "DecayAccuracy", "FirstSpikeAccuracy", "SilentLabels"]


def __dir__() -> list[str]:
    return __all__


class _TrainMetric(keras.metrics.MeanMetricWrapper):
    """Base: the mean over samples of `per_sample`."""

    def __init__(self, name: str, dtype: Any):
        super().__init__(self._per_sample, name=name, dtype=dtype)

    def _per_sample(self, y_true, y_pred):
        y_pred = ops.convert_to_tensor(y_pred)
        return tf.cast(self.per_sample(one_hot(ops.convert_to_tensor(y_true), y_pred), y_pred), self.dtype)

    def per_sample(self, is_label: tf.Tensor, times: tf.Tensor) -> tf.Tensor:
        """Return values `(batch,)` of trains `(batch, classes, K)`; `is_label` is bool `(batch, classes)`."""
        raise NotImplementedError  # abstract

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}


class _Accuracy(_TrainMetric):
    """Base: the share of samples whose label has the largest score."""

    def scores(self, times: tf.Tensor) -> tf.Tensor:
        """Return scores `(batch, classes)`."""
        raise NotImplementedError  # abstract

    def per_sample(self, is_label, times):
        answer = tf.argmax(self.scores(times), axis=-1)
        right = tf.gather(is_label, answer, batch_dims=1)
        answered = ~tf.reduce_all(is_silent(times), axis=-1) & ~tf.reduce_any(tf.math.is_nan(times), axis=(1, 2))
        return right & answered


@keras.saving.register_keras_serializable(package="ttfs_keras")
class CountAccuracy(_Accuracy):
    """Share of samples whose label's neuron fires most.

    Shapes: labels `(batch,)`, `(batch, 1)` or one-hot, trains `(batch, classes, K)`, to a scalar, 0 to 1.

    Args:
        name, dtype: as for `keras.metrics.Metric`.

    Example:
        >>> metric = bats.metrics.CountAccuracy()
        >>> metric.update_state(np.array([0, 1]), np.array([[[0.1], [np.inf]], [[0.1], [np.inf]]]))
        >>> float(metric.result())
        0.5
    """

    def __init__(self, name: str = "count_accuracy", dtype: Any = None):
        super().__init__(name, dtype)

    def scores(self, times):
        return count(times)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class FirstSpikeAccuracy(_Accuracy):
    """Share of samples whose label's neuron fires first.

    Shapes: labels `(batch,)`, `(batch, 1)` or one-hot, trains `(batch, classes, K)`, to a scalar, 0 to 1.

    Args:
        name, dtype: as for `keras.metrics.Metric`.

    Example:
        >>> metric = bats.metrics.FirstSpikeAccuracy()
        >>> metric.update_state(np.array([0, 1]), np.array([[[0.1], [np.inf]], [[0.1], [np.inf]]]))
        >>> float(metric.result())
        0.5
    """

    def __init__(self, name: str = "first_spike_accuracy", dtype: Any = None):
        super().__init__(name, dtype)

    def scores(self, times):
        return -first_spike(times)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class DecayAccuracy(_Accuracy):
    """Share of samples whose label's neuron has the largest decay score (see `readout.decay_score`).

    Shapes: labels `(batch,)`, `(batch, 1)` or one-hot, trains `(batch, classes, K)`, to a scalar, 0 to 1.

    Args:
        rate: 1/s, > 0.
        name, dtype: as for `keras.metrics.Metric`.

    Raises:
        ValueError: rate is outside its range.

    Example:
        >>> metric = bats.metrics.DecayAccuracy()
        >>> metric.update_state(np.array([0, 1]), np.array([[[0.1], [np.inf]], [[0.1], [np.inf]]]))
        >>> float(metric.result())
        0.5
    """

    def __init__(self, rate: float = 6.0, name: str = "decay_accuracy", dtype: Any = None):
        super().__init__(name, dtype)
        arguments.require("DecayAccuracy", (arguments.positive(rate), "rate > 0, finite", f"rate={rate}"))
        self.rate = rate

    def scores(self, times):
        return decay_score(times, self.rate)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable(package="ttfs_keras")
class SilentLabels(_TrainMetric):
    """Share of samples whose label's neuron is silent; trains of NaN count as silent.

    Shapes: labels `(batch,)`, `(batch, 1)` or one-hot, trains `(batch, classes, K)`, to a scalar, 0 to 1.

    Args:
        name, dtype: as for `keras.metrics.Metric`.

    Example:
        >>> metric = bats.metrics.SilentLabels()
        >>> metric.update_state(np.array([0, 1]), np.array([[[0.1], [np.inf]], [[0.1], [np.inf]]]))
        >>> float(metric.result())
        0.5
    """

    def __init__(self, name: str = "silent_labels", dtype: Any = None):
        super().__init__(name, dtype)

    def per_sample(self, is_label, times):
        return tf.reduce_any(is_label & is_silent(times), axis=-1)
