"""From images to sequences."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from ttfs_keras.network import replicas
from ttfs_keras.network.encoding import checked_range, normalized
from ttfs_keras.stbp.step_spikes import StepSpikes
from ttfs_keras.stbp.time import check_steps


@keras.saving.register_keras_serializable(package="ttfs_keras")
class DirectEncoder(keras.layers.Layer):
    """Feed the values themselves, as a current that does not change: one step, repeated later by `RepeatSteps`.

    Shapes: values `(batch, ...)` to `(batch, 1, ...)`.

    Example:
        >>> stbp.DirectEncoder()(np.zeros((2, 28, 28, 1))).shape
        TensorShape([2, 1, 28, 28, 1])
    """

    def call(self, values):
        return ops.expand_dims(values, 1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 1, *input_shape[1:])


def _with_nan(spikes, values):
    """Return spikes that are NaN where the values are."""
    return tf.where(tf.math.is_nan(values), values, spikes)


class _StepsEncoder(StepSpikes, keras.layers.Layer):
    """Base of encoders that make all time steps of values in a range."""

    encodes = True

    def __init__(self, time_steps: int, input_range: tuple[float, float], **kwargs: Any):
        super().__init__(**kwargs)
        self.time_steps = check_steps(time_steps)
        self.input_range = checked_range(input_range)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.time_steps, *input_shape[1:])

    def get_config(self):
        return {**super().get_config(), "time_steps": self.time_steps, "input_range": self.input_range}


@keras.saving.register_keras_serializable(package="ttfs_keras")
class BernoulliEncoder(_StepsEncoder):
    """Spike at each step with the value as probability, in training and in evaluation alike.

        P(spike) = clip((value - p)/(q - p), 0, 1)        NaN stays NaN

    Shapes: values `(batch, ...)` to spikes `(batch, time_steps, ...)`. No gradient reaches the values.

    Args:
        time_steps: T, at least 1.
        input_range: (p, q), the range of the values. Values outside it are clipped; `tk.metric_card` counts them.
        seed: int, or None to draw one. Every call draws anew; the count of draws is saved with the weights.

    Raises:
        ValueError: time_steps is below 1, or p >= q.

    Example:
        >>> stbp.BernoulliEncoder(3, seed=1)(np.array([[0.0, 1.0]])).numpy().tolist()
        [[[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]]
    """

    def __init__(
        self,
        time_steps: int,
        seed: int | None = None,
        input_range: tuple[float, float] = (0.0, 1.0),
        **kwargs: Any,
    ):
        super().__init__(time_steps, input_range, **kwargs)
        self.seed = replicas.drawn_seed(seed)

    def build(self, input_shape):
        self.draws = replicas.draw_counter(self)

    def call(self, values):
        output_shape = self.compute_output_shape(values.shape)
        seed = replicas.next_draw(self.draws, self.seed, self.name)
        shape = tf.shape(values)
        shape = tf.concat([shape[:1], [self.time_steps], shape[1:]], 0)
        uniform = tf.random.stateless_uniform(shape, seed, dtype=values.dtype)
        values = tf.expand_dims(normalized(values, self.input_range), 1)
        spikes = _with_nan(ops.cast(uniform < values, values.dtype), values)
        return tf.ensure_shape(spikes, output_shape)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="ttfs_keras")
class FirstSpikeEncoder(_StepsEncoder):
    """Spike once, the earlier the larger the value; the lowest one stays silent.

        step = floor((1 - v) T),  v = clip((value - p)/(q - p), 0, 1)        NaN stays NaN

    Shapes: values `(batch, ...)` to spikes `(batch, time_steps, ...)`. No gradient reaches the values.

    Args:
        time_steps: T, at least 1.
        input_range: (p, q), the range of the values. Values outside it are clipped; `tk.metric_card` counts them.

    Raises:
        ValueError: time_steps is below 1, or p >= q.

    Example:
        >>> stbp.FirstSpikeEncoder(2)(np.array([[0.0, 0.3, 1.0]])).numpy().tolist()
        [[[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]]
    """

    def __init__(self, time_steps: int, input_range: tuple[float, float] = (0.0, 1.0), **kwargs: Any):
        super().__init__(time_steps, input_range, **kwargs)

    def call(self, values):
        values = normalized(values, self.input_range)
        steps = ops.floor((1 - values) * self.time_steps)
        times = ops.reshape(ops.arange(self.time_steps, dtype=values.dtype), (-1,) + (1,) * (len(values.shape) - 1))
        spikes = ops.cast(ops.expand_dims(steps, 1) == times, values.dtype)
        return _with_nan(spikes, tf.expand_dims(values, 1))
