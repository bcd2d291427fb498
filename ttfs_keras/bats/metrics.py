"""Metrics on the spike trains of output neurons.

All take labels `(batch,)` or `(batch, 1)` and trains `(batch, classes, K)` in seconds. Of neurons that tie the lowest
index is the answer; a sample without any output spike has none and counts as wrong.
"""

import keras
import tensorflow as tf
from keras import ops

from ttfs_keras import arguments
from ttfs_keras.bats.losses import one_hot
from ttfs_keras.bats.readout import count, decay_score, first_spike, is_silent


class _TrainMetric(keras.metrics.MeanMetricWrapper):
    """Base: the mean over samples of `per_sample`."""

    def __init__(self, name=None, dtype=None):
        super().__init__(self._per_sample, name=name, dtype=dtype)

    def _per_sample(self, y_true, y_pred):
        y_pred = ops.convert_to_tensor(y_pred)
        return tf.cast(self.per_sample(one_hot(ops.convert_to_tensor(y_true), y_pred), y_pred), self.dtype)

    def per_sample(self, is_label, times):
        """Return values `(batch,)` of trains `(batch, classes, K)`; `is_label` is bool `(batch, classes)`."""
        raise NotImplementedError  # abstract

    def get_config(self):
        """Return the constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype}


class _Accuracy(_TrainMetric):
    """Base: the share of samples whose label has the largest score."""

    def scores(self, times):
        """Return scores `(batch, classes)`."""
        raise NotImplementedError  # abstract

    def per_sample(self, is_label, times):
        """Return whether each answer is right."""
        answer = tf.argmax(self.scores(times), axis=-1)
        right = tf.gather(is_label, answer, batch_dims=1)
        return right & ~tf.reduce_all(is_silent(times), axis=-1)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class CountAccuracy(_Accuracy):
    """Share of samples whose label's neuron fires most.

    Shapes: labels `(batch,)` or `(batch, 1)`, trains `(batch, classes, K)`, to a scalar, 0 to 1.

    Args:
        name, dtype: as for `keras.metrics.Metric`.
    """

    def __init__(self, name="count_accuracy", dtype=None):
        super().__init__(name, dtype)

    def scores(self, times):
        """Return the counts."""
        return count(times)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class FirstSpikeAccuracy(_Accuracy):
    """Share of samples whose label's neuron fires first.

    Shapes: labels `(batch,)` or `(batch, 1)`, trains `(batch, classes, K)`, to a scalar, 0 to 1.

    Args:
        name, dtype: as for `keras.metrics.Metric`.
    """

    def __init__(self, name="first_spike_accuracy", dtype=None):
        super().__init__(name, dtype)

    def scores(self, times):
        """Return the negative times of first spikes."""
        return -first_spike(times)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class DecayAccuracy(_Accuracy):
    """Share of samples whose label's neuron has the largest decay score (see `readout.decay_score`).

    Shapes: labels `(batch,)` or `(batch, 1)`, trains `(batch, classes, K)`, to a scalar, 0 to 1.

    Args:
        rate: 1/s, > 0.
        name, dtype: as for `keras.metrics.Metric`.

    Raises:
        ValueError: rate is outside its range.
    """

    def __init__(self, rate=6.0, name="decay_accuracy", dtype=None):
        super().__init__(name, dtype)
        arguments.require("DecayAccuracy", (arguments.positive(rate), "rate > 0, finite", f"rate={rate}"))
        self.rate = rate

    def scores(self, times):
        """Return the decay scores."""
        return decay_score(times, self.rate)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable(package="ttfs_keras")
class SilentLabels(_TrainMetric):
    """Share of samples whose label's neuron is silent.

    Shapes: labels `(batch,)` or `(batch, 1)`, trains `(batch, classes, K)`, to a scalar, 0 to 1.

    Args:
        name, dtype: as for `keras.metrics.Metric`.
    """

    def __init__(self, name="silent_labels", dtype=None):
        super().__init__(name, dtype)

    def per_sample(self, is_label, times):
        """Return whether each label's neuron is silent."""
        return tf.reduce_any(is_label & is_silent(times), axis=-1)
