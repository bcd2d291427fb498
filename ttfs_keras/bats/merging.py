"""Layers that rearrange spike trains or put several together."""

import math

import keras
import tensorflow as tf
from keras import ops

from ttfs_keras.bats.layer import SpikeTrainLayer
from ttfs_keras.bats.not_a_number import any_nan, nan_of

__all__ = ["ConcatenateSpikes", "FlattenSpikes", "MergeSpikes", "sort_spikes"]

TRAINS = "(batch, neurons..., K)"


def sort_spikes(times: tf.Tensor) -> tf.Tensor:
    """Return trains in ascending order, empty slots last; a train with NaN becomes all NaN.

    The gradient goes back to the slot that a spike came from; empty slots get 0.

    Shapes: times `(batch, neurons..., K)` in seconds, any order, to the same shape.
    """
    filled = ~tf.math.is_inf(times)
    ordered = tf.sort(tf.where(filled, times, float("inf")), axis=-1)  # this constant has no gradient
    return tf.cond(any_nan(times), lambda: ordered + nan_of(times)[..., tf.newaxis], lambda: ordered)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class FlattenSpikes(SpikeTrainLayer):
    """Flatten the neurons of a feature map in the order of `keras.layers.Flatten`; their trains do not change.

    Shapes: trains `(batch, height, width, channels, K)`, or any `(batch, neurons..., K)`, in seconds, to
    `(batch, height*width*channels, K)`.

    Raises:
        ValueError: an input is not `(batch, neurons..., K)`, or dtype is a half-precision one.

    Example:
        >>> bats.FlattenSpikes()(np.zeros((2, 4, 4, 3, 5))).shape
        TensorShape([2, 48, 5])
    """

    def build(self, input_shape):
        self.check_rank(input_shape, TRAINS)

    def call(self, times):
        batch, *neurons, slots = ops.shape(times)
        total = 1
        for size in neurons:
            total *= size
        return ops.reshape(times, (batch, total, slots))

    def compute_output_shape(self, input_shape):
        batch, *neurons, slots = input_shape
        return (batch, None if None in neurons else math.prod(neurons), slots)


class _Merging(SpikeTrainLayer):
    """Base of layers of several inputs."""

    free: tuple[int, ...] = ()  # the axes on which the inputs may differ
    agreement: str

    def build(self, input_shape):
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
    """Concatenate the neurons of several inputs on the last axis of neurons, which is the channels of feature maps.

    Trains are padded with empty slots to the length of the longest.

    Shapes: list of trains `(batch, n_i, K_i)` or `(batch, height, width, n_i, K_i)`, in seconds, to
    `(batch, ..., sum n_i, max K_i)`.

    Raises:
        ValueError: the inputs are not a list of trains that differ on their last two axes only, or dtype is a
            half-precision one.

    Example:
        >>> bats.ConcatenateSpikes()([np.zeros((2, 3, 1)), np.zeros((2, 4, 5))]).shape
        TensorShape([2, 7, 5])
    """

    free = (-2, -1)
    agreement = "trains that differ on their last two axes only"

    def call(self, inputs):
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
        neurons = [shape[-2] for shape in input_shape]
        total = None if None in neurons else sum(neurons)
        return (*input_shape[0][:-2], total, max(shape[-1] for shape in input_shape))


@keras.saving.register_keras_serializable(package="ttfs_keras")
class MergeSpikes(_Merging):
    """Merge the trains of corresponding neurons of several inputs: a residual connection of spikes.

    It is the counterpart of `keras.layers.Add`: a synapse that receives the merged train adds to the potential what
    synapses of the same weight behind the single inputs would add together.
    Source: the residual merge of the public forks of Bacho & Chu's code.

    Shapes: list of trains `(batch, neurons..., K_i)` in seconds to `(batch, neurons..., sum K_i)`, ascending.

    Raises:
        ValueError: the inputs are not a list of trains of the same neurons, or dtype is a half-precision one.

    Example:
        >>> bats.MergeSpikes()([np.array([[[0.5]]]), np.array([[[0.25, np.inf]]])]).numpy().tolist()
        [[[0.25, 0.5, inf]]]
    """

    free = (-1,)
    agreement = "trains of the same neurons"

    def call(self, inputs):
        return sort_spikes(tf.concat(inputs, axis=-1))

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:-1], sum(shape[-1] for shape in input_shape))
