"""From images to sequences."""

import keras
import tensorflow as tf
from keras import ops

from ttfs_keras.network import replicas
from ttfs_keras.stbp.step_spikes import StepSpikes
from ttfs_keras.stbp.time import check_steps


@keras.saving.register_keras_serializable(package="ttfs_keras")
class DirectEncoder(keras.layers.Layer):
    """Feed the values themselves, as a current that does not change: one step, repeated later by `RepeatSteps`.

    Shapes: values `(batch, ...)` to `(batch, 1, ...)`.
    """

    def call(self, values):
        """Return the sequence of one step."""
        return ops.expand_dims(values, 1)

    def compute_output_shape(self, input_shape):
        """Return the shape with one time step."""
        return (input_shape[0], 1, *input_shape[1:])


class _StepsEncoder(StepSpikes, keras.layers.Layer):
    """Base of encoders that make all time steps of values in [0, 1]."""

    encodes = True

    def __init__(self, time_steps, **kwargs):
        super().__init__(**kwargs)
        self.time_steps = check_steps(time_steps)

    def compute_output_shape(self, input_shape):
        """Return the shape with `time_steps` steps."""
        return (input_shape[0], self.time_steps, *input_shape[1:])

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "time_steps": self.time_steps}


@keras.saving.register_keras_serializable(package="ttfs_keras")
class BernoulliEncoder(_StepsEncoder):
    """Spike at each step with the value as probability, in training and in evaluation alike.

    Shapes: values `(batch, ...)`, clipped to [0, 1], to spikes `(batch, time_steps, ...)`. No gradient reaches them.

    Args:
        time_steps: T, at least 1.
        seed: int, or None to draw one. Every call draws anew; the count of draws is saved with the weights.

    Raises:
        ValueError: time_steps is below 1.
    """

    def __init__(self, time_steps, seed=None, **kwargs):
        super().__init__(time_steps, **kwargs)
        self.seed = replicas.drawn_seed(seed)

    def build(self, input_shape):
        """Create the counter of draws."""
        self.draws = replicas.draw_counter(self)

    def call(self, values):
        """Return the spikes."""
        seed = replicas.next_draw(self.draws, self.seed, self.name)
        shape = tf.shape(values)
        shape = tf.concat([shape[:1], [self.time_steps], shape[1:]], 0)
        uniform = tf.random.stateless_uniform(shape, seed, dtype=values.dtype)
        spikes = ops.cast(uniform < tf.expand_dims(values, 1), values.dtype)
        return tf.ensure_shape(spikes, self.compute_output_shape(values.shape))

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="ttfs_keras")
class FirstSpikeEncoder(_StepsEncoder):
    """Spike once, the earlier the larger the value: at step floor((1 - value) T); 0 stays silent.

    Shapes: values `(batch, ...)`, clipped to [0, 1], to spikes `(batch, time_steps, ...)`. No gradient reaches them.

    Args:
        time_steps: T, at least 1.

    Raises:
        ValueError: time_steps is below 1.
    """

    def call(self, values):
        """Return the spikes."""
        steps = ops.floor((1 - ops.clip(values, 0, 1)) * self.time_steps)
        times = ops.reshape(ops.arange(self.time_steps, dtype=values.dtype), (-1,) + (1,) * (len(values.shape) - 1))
        return ops.cast(ops.expand_dims(steps, 1) == times, values.dtype)
