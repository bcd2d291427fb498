"""Learning rates over the steps of training."""

from collections.abc import Iterable

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="ttfs_keras")
class StepDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that is multiplied by a factor every so many steps and never falls below a minimum.

    Args:
        initial: the first rate.
        factor: of each decay.
        every: training steps between two decays.
        minimum: the least rate; an initial rate below it stays.

    Example:
        >>> from ttfs_keras.training.schedules import StepDecay
        >>> rate = StepDecay(1.0, 0.5, every=10)
        >>> [float(rate(step)) for step in (0, 9, 10, 20)]
        [1.0, 1.0, 0.5, 0.25]
    """

    def __init__(self, initial: float, factor: float, every: int, minimum: float = 0.0):
        super().__init__()
        self.initial, self.factor, self.every, self.minimum = initial, factor, every, minimum

    def __call__(self, step):
        decays = tf.cast(step, tf.int64) // self.every
        rate = self.initial * tf.pow(tf.constant(self.factor, tf.float32), tf.cast(decays, tf.float32))
        return tf.maximum(rate, min(self.minimum, self.initial))

    def get_config(self):
        return {"initial": self.initial, "factor": self.factor, "every": self.every, "minimum": self.minimum}


@keras.saving.register_keras_serializable(package="ttfs_keras")
class StepsDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that is multiplied by a factor after each of the given steps.

    Args:
        initial: the first rate.
        factor: of each decay.
        after: training steps done before each decay.

    Example:
        >>> from ttfs_keras.training.schedules import StepsDecay
        >>> rate = StepsDecay(1.0, 0.5, after=(10, 15))
        >>> [float(rate(step)) for step in (9, 10, 15)]
        [1.0, 0.5, 0.25]
    """

    def __init__(self, initial: float, factor: float, after: Iterable[int]):
        super().__init__()
        self.initial, self.factor, self.after = initial, factor, list(after)

    def __call__(self, step):
        decays = tf.reduce_sum(tf.cast(tf.cast(step, tf.int64) >= tf.constant(self.after, tf.int64), tf.float32))
        return self.initial * tf.pow(tf.constant(self.factor, tf.float32), decays)

    def get_config(self):
        return {"initial": self.initial, "factor": self.factor, "after": self.after}
