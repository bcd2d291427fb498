"""Layers that rearrange spike trains or put several together."""

import math

import keras
import tensorflow as tf
from keras import ops

from ttfs_keras.bats.layer import SpikeTrainLayer

TRAINS = "(batch, neurons..., K)"


def sort_spikes(times):
    """Return trains in ascending order; slots without a spike, NaN among them, become inf and come last.

    The gradient goes back to the slot that a spike came from; empty slots get 0.

    Shapes: times `(batch, neurons..., K)` in seconds, any order, to the same shape.
    """
    # The comparison is false for NaN, which would have no place in the order.
    return tf.sort(tf.where(times < float("inf"), times, float("inf")), axis=-1)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class FlattenSpikes(SpikeTrainLayer):
    """Line up the neurons of a feature map, as `keras.layers.Flatten` lines up values, and leave their trains alone.

    Shapes: trains `(batch, height, width, channels, K)`, or any `(batch, neurons..., K)`, in seconds, to
    `(batch, height*width*channels, K)`.

    Raises:
        ValueError: an input is not `(batch, neurons..., K)`, or dtype is a half-precision one.
    """

    def build(self, input_shape):
        """Check the input's shape."""
        self.check_rank(input_shape, TRAINS)

    def call(self, times):
        """Return the trains."""
        batch, *neurons, slots = ops.shape(times)
        total = 1
        for size in neurons:
            total *= size
        return ops.reshape(times, (batch, total, slots))

    def compute_output_shape(self, input_shape):
        """Return (batch, neurons, K)."""
        batch, *neurons, slots = input_shape
        return (batch, None if None in neurons else math.prod(neurons), slots)


class _Merging(SpikeTrainLayer):
    """Base of layers of several inputs."""

    free: tuple[int, ...] = ()  # the axes on which the inputs may differ

    def build(self, input_shape):
        """Check the inputs' shapes."""
        several = isinstance(input_shape, list | tuple) and all(isinstance(s, list | tuple) for s in input_shape)
        if not several or not input_shape:
            raise ValueError(f"{self.name} expects a list of spike trains {TRAINS}. Received: shape={input_shape}")
        for shape in input_shape:
            self.check_rank(shape, TRAINS)
        fixed = [
            [size for axis, size in enumerate(shape) if axis > 0 and axis - len(shape) not in self.free]
            for shape in input_shape
        ]
        # Sizes that are known must agree; ranks must, too.
        known = [{size for size in sizes if size is not None} for sizes in zip(*fixed, strict=False)]
        if any(len(sizes) > 1 for sizes in known) or len({len(sizes) for sizes in fixed}) > 1:
            raise ValueError(f"{self.name} expects {self.agreement}. Received: shapes {list(map(tuple, input_shape))}")


@keras.saving.register_keras_serializable(package="ttfs_keras")
class ConcatenateSpikes(_Merging):
    """Put the neurons of several inputs side by side: on the last axis of neurons, the channels of feature maps.

    Trains are padded with empty slots to the length of the longest.

    Shapes: list of trains `(batch, n_i, K_i)` or `(batch, height, width, n_i, K_i)`, in seconds, to
    `(batch, ..., sum n_i, max K_i)`.

    Raises:
        ValueError: the inputs are not a list of trains that differ on their last two axes only, or dtype is a
            half-precision one.
    """

    free = (-2, -1)
    agreement = "trains that differ on their last two axes only"

    def call(self, inputs):
        """Return the trains."""
        longest = max(times.shape[-1] for times in inputs)
        padded = [
            tf.pad(
                times,
                [(0, 0)] * (len(times.shape) - 1) + [(0, longest - times.shape[-1])],
                constant_values=float("inf"),
            )
            for times in inputs
        ]
        return tf.concat(padded, axis=-2)

    def compute_output_shape(self, input_shape):
        """Return the neurons' sum and the longest train's length."""
        neurons = [shape[-2] for shape in input_shape]
        total = None if None in neurons else sum(neurons)
        return (*input_shape[0][:-2], total, max(shape[-1] for shape in input_shape))


@keras.saving.register_keras_serializable(package="ttfs_keras")
class MergeSpikes(_Merging):
    """Put the trains of corresponding neurons of several inputs together: a residual connection of spikes.

    As an `Add` is to a ReLU network: what a synapse behind it sees is the sum of what it would see behind each input.
    Source: the residual merge of the public forks of Bacho & Chu's code.

    Shapes: list of trains `(batch, neurons..., K_i)` in seconds to `(batch, neurons..., sum K_i)`, ascending.

    Raises:
        ValueError: the inputs are not a list of trains of the same neurons, or dtype is a half-precision one.
    """

    free = (-1,)
    agreement = "trains of the same neurons"

    def call(self, inputs):
        """Return the trains."""
        return sort_spikes(tf.concat(inputs, axis=-1))

    def compute_output_shape(self, input_shape):
        """Return the sum of the trains' lengths."""
        return (*input_shape[0][:-1], sum(shape[-1] for shape in input_shape))
