"""Axonal delays."""

import math

import keras
import tensorflow as tf
from keras import ops

from ttfs_keras import arguments
from ttfs_keras.bats.layer import SpikeTrainLayer
from ttfs_keras.constraints import Between


@keras.saving.register_keras_serializable(package="ttfs_keras")
class AxonalDelay(SpikeTrainLayer):
    """Delay the train of each neuron by a time of its own, which trains.

        t_jk <- t_jk + d_j,  0 <= d_j <= max_delay        dL/dd_j = sum_k dL/dt_jk over its spikes

    Spikes that end up behind the simulation time of the layer that receives them have no effect there. The range holds
    for the initial values and after each step of an optimizer.

    Shapes: trains `(batch, neurons..., K)` in seconds to the same shape. The weight `delay` is `(neurons...)`, seconds.

    Args:
        initializer: of the delays, in seconds.
        trainable: whether they train.
        max_delay: seconds, > 0, or None for no limit.
        dtype: float32 or float64; all other arguments of `keras.layers.Layer` hold too.

    Raises:
        ValueError: max_delay is not positive, initializer is none, the input is not `(batch, neurons..., K)` with known
            neurons, or dtype is a half-precision one.
    """

    def __init__(self, initializer="zeros", trainable=True, max_delay=None, **kwargs):
        super().__init__(trainable=trainable, **kwargs)
        limited = max_delay is not None
        arguments.require(
            "AxonalDelay",
            (not limited or arguments.positive(max_delay), "max_delay > 0 or None", f"max_delay={max_delay}"),
        )
        self.max_delay = float(max_delay) if limited else None
        self.range = Between(0.0, math.inf if max_delay is None else self.max_delay)
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape):
        """Create the delays."""
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
        """Return the trains."""
        # Values that were assigned or loaded are held to the range too; at its ends the gradient passes.
        delay = self.range(ops.convert_to_tensor(self.delay))[..., tf.newaxis]
        fires = times < float("inf")
        delayed = tf.where(fires, times, 0) + delay
        return tf.where(fires, delayed, float("inf"))

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        return tuple(input_shape)

    def get_config(self):
        """Return the constructor's arguments."""
        config = {"initializer": keras.initializers.serialize(self.initializer), "max_delay": self.max_delay}
        return {**super().get_config(), **config}
