"""The time axis of `[batch, time, ...]`: its check, and layers that work on every step alike."""

import numbers
from typing import Any

import keras
from keras import ops

from ttfs_keras.network.operations import linear_twin


def check_sequence(layer, shape):
    """Refuse shapes that are not surely sequences: the height of an image of rank 4 would be taken for time.

    Args:
        layer: whose name the error gives.
        shape: of its input.

    Raises:
        ValueError: shape is neither `(batch, time, features)` nor `(batch, time, height, width, channels)`, or the
            number of steps is not known or not at least 1.
    """
    if len(shape) not in (3, 5) or not shape[1]:
        raise ValueError(
            f"{layer.name}: expected (batch, time, features) or (batch, time, height, width, channels) with a fixed "
            f"number of time steps >= 1. Received: shape={tuple(shape)}"
        )


def without_time(layer):
    """Return the layer that a `TimeFolded` one applies to every step; any other layer itself."""
    return layer.layer if isinstance(layer, TimeFolded) else layer


def fold_time(values):
    """Return `(batch, time, ...)` as `(batch * time, ...)`; no value moves."""
    return ops.reshape(values, (-1, *ops.shape(values)[2:]))


def unfold_time(values, steps):
    """Return `(batch * time, ...)` as `(batch, time, ...)` for a number of steps."""
    return ops.reshape(values, (-1, steps, *ops.shape(values)[1:]))


@keras.saving.register_keras_serializable(package="ttfs_keras")
class TimeFolded(keras.layers.Wrapper):
    """Apply a layer to every time step at once, with time folded into the batch.

    Shapes: `(batch, time, ...)` to `(batch, time, ...)` with what the layer makes of `(batch, ...)`. For layers that
    treat the samples of a batch one by one, such as convolutions and pools. `keras.layers.TimeDistributed` gives the
    same in a loop over time.

    Args:
        layer: the layer.

    Raises:
        ValueError: the input has no surely known time axis, see `check_sequence`.

    Example:
        >>> stbp.TimeFolded(keras.layers.MaxPooling2D(2))(np.zeros((1, 3, 4, 4, 2))).shape
        TensorShape([1, 3, 2, 2, 2])
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any):
        super().__init__(layer, **kwargs)

    def build(self, input_shape):
        check_sequence(self, input_shape)
        super().build((None, *input_shape[2:]))

    def call(self, inputs):
        return unfold_time(self.layer(fold_time(inputs)), inputs.shape[1])

    def linear_twin(self):
        """Return the same of the layer's `linear_twin`, see `ttfs_keras.network.operations`."""
        twin = linear_twin(self.layer)
        return None if twin is None else TimeFolded(twin, dtype="float32")

    def compute_output_shape(self, input_shape):
        batch, steps, *rest = input_shape
        return (batch, steps, *self.layer.compute_output_shape((None, *rest))[1:])

    def get_config(self):
        config = super().get_config()
        # Else Keras builds the layer when it loads it, outside of this one, and its weights get other paths.
        config["layer"].pop("build_config", None)
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build the wrapper from `get_config`, which the base class would take apart."""
        return super().from_config(dict(config), custom_objects)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class RepeatSteps(keras.layers.Layer):
    """Repeat a sequence of one step.

    Shapes: `(batch, 1, ...)` to `(batch, time_steps, ...)`. What does not change over time is computed once before it:
    an image's first convolution and its batch norm give the same as if they saw every step.

    Args:
        time_steps: T, at least 1.

    Raises:
        ValueError: time_steps is below 1, or the input has more than one step.

    Example:
        >>> stbp.RepeatSteps(3)(np.ones((2, 1, 5))).shape
        TensorShape([2, 3, 5])
    """

    def __init__(self, time_steps: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.time_steps = check_steps(time_steps)

    def build(self, input_shape):
        check_sequence(self, input_shape)
        if input_shape[1] != 1:
            raise ValueError(f"{self.name}: expected one time step. Received: shape={tuple(input_shape)}")

    def call(self, inputs):
        return ops.repeat(inputs, self.time_steps, axis=1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.time_steps, *input_shape[2:])

    def get_config(self):
        return {**super().get_config(), "time_steps": self.time_steps}


def check_steps(time_steps):
    """Return a number of time steps as int.

    Raises:
        ValueError: it is not a whole number >= 1.
    """
    if not isinstance(time_steps, numbers.Integral) or time_steps < 1:
        raise ValueError(f"Expected a whole number of time steps >= 1. Received: time_steps={time_steps}")
    return int(time_steps)
