"""Axonal delays."""

import math
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from ttfs_keras import arguments
from ttfs_keras.bats.layer import SpikeTrainLayer
from ttfs_keras.constraints import Between

__all__ = ["AxonalDelay"]


@keras.saving.register_keras_serializable(package="ttfs_keras")
class AxonalDelay(SpikeTrainLayer):
    """Delay the spike train of each neuron by its own trainable time.

        t_jk <- t_jk + d_j,  0 <= d_j <= max_delay        dL/dd_j = sum_k dL/dt_jk over its spikes

    Spikes later than the simulation time of the next layer have no effect there. The range holds for the initial values
    and after each step of an optimizer.

    Shapes: trains `(batch, neurons..., K)` in seconds to the same shape. The weight `delay` is `(neurons...)`, seconds.

    Args:
        initializer: of the delays, in seconds.
        trainable: whether the delays train.
        max_delay: seconds, > 0, or None for no limit.
        **kwargs: of `keras.layers.Layer`: `name` and `dtype`, which must be float32 or float64.

    Raises:
        ValueError: max_delay is not positive, initializer is unknown, the input is not `(batch, neurons..., K)` with a
            known number of neurons, or dtype is a half-precision one.

    Example:
        >>> delays = bats.AxonalDelay(keras.initializers.Constant(0.25))
        >>> delays(np.array([[[0.5, np.inf]]])).numpy().tolist()
        [[[0.75, inf]]]
    """

    def __init__(
        self,
        initializer: Any = "zeros",
        trainable: bool = True,
        max_delay: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(trainable=trainable, **kwargs)
        limited = max_delay is not None
        arguments.require(
            "AxonalDelay",
            (not limited or arguments.positive(max_delay), "max_delay > 0 or None", f"max_delay={max_delay}"),
        )
        self.max_delay = None if max_delay is None else float(max_delay)
        self.range = Between(0.0, math.inf if self.max_delay is None else self.max_delay)
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape):
        self.check_rank(input_shape, "(batch, neurons..., K)")
        neurons = tuple(input_shape[1:-1])
        if None in neurons:
            raise ValueError(f"{self.name} expects a known number of neurons. Received: shape={tuple(input_shape)}")
        self.delay = self.add_weight(
            name="delay",
            shape=neurons,
            initializer=lambda shape, dtype: self.range(self.initializer(shape, dtype)),
            constraint=self.range,
        )

    def call(self, times):
        # Values that were assigned or loaded are clipped too; at the ends of the range the gradient passes.
        delay = self.range(ops.convert_to_tensor(self.delay))[..., tf.newaxis]
        filled = ~tf.math.is_inf(times)
        return tf.where(filled, tf.where(filled, times, 0) + delay, float("inf"))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        config = {"initializer": keras.initializers.serialize(self.initializer), "max_delay": self.max_delay}
        return {**super().get_config(), **config}
