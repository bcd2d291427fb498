"""Convolutional multi-spike neurons."""

import math
from collections.abc import Callable
from typing import Any

import keras

from ttfs_keras import arguments
from ttfs_keras.bats.multi_spike import MultiSpikeLayer

__all__ = ["BATSConv2D"]


@keras.saving.register_keras_serializable(package="ttfs_keras")
class BATSConv2D(MultiSpikeLayer):
    """Multi-spike neurons that share a kernel over the image, the layer of `bats.conv2d`: 'valid' borders, stride 1.

    See `BATSDense` for the neuron and its source.

    Shapes: trains `(batch, height, width, channels, slots)` to `(batch, out_height, out_width, filters, max_spikes)`,
    seconds, ascending, padded with inf.

    Args:
        filters: number of neurons at each position.
        kernel_size: int or pair of ints, (height, width).
        tau_s, threshold, delta_threshold, max_spikes, simulation_time: see `BATSDense`.
        kernel_initializer, kernel_regularizer, kernel_constraint, activity_regularizer: see `BATSDense`.
        trainable_tau_s, trainable_threshold, trainable_delta_threshold: see `BATSDense`.
        recovery, min_slope, **kwargs: see `BATSDense`.

    Raises:
        ValueError: lists all arguments that cannot work; the input is not of rank 5 or smaller than the kernel.

    Example:
        >>> layer = bats.BATSConv2D(2, kernel_size=3, threshold=0.1, max_spikes=4)
        >>> layer(np.zeros((1, 8, 8, 1, 1))).shape
        TensorShape([1, 6, 6, 2, 4])
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        tau_s: float = 0.13,
        threshold: float = 0.2,
        delta_threshold: float | None = None,
        max_spikes: int = 30,
        simulation_time: float = 0.2,
        kernel_initializer: Any = None,
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        activity_regularizer: Any = None,
        trainable_tau_s: bool = False,
        trainable_threshold: bool = False,
        trainable_delta_threshold: bool = False,
        recovery: Callable | dict | None = None,
        min_slope: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(
            tau_s=tau_s,
            threshold=threshold,
            delta_threshold=delta_threshold,
            max_spikes=max_spikes,
            simulation_time=simulation_time,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            kernel_constraint=kernel_constraint,
            activity_regularizer=activity_regularizer,
            trainable_tau_s=trainable_tau_s,
            trainable_threshold=trainable_threshold,
            trainable_delta_threshold=trainable_delta_threshold,
            recovery=recovery,
            min_slope=min_slope,
            **kwargs,
        )
        pair = kernel_size if isinstance(kernel_size, list | tuple) else (kernel_size, kernel_size)
        problems = []
        if not arguments.count(filters):
            problems.append(f"filters: expected an int of at least 1. Received: {filters!r}")
        if not (len(pair) == 2 and all(map(arguments.count, pair))):
            problems.append(f"kernel_size: expected one or two ints of at least 1. Received: {kernel_size!r}")
        self.validate(*problems)
        self.filters, self.kernel_size = int(filters), tuple(map(int, pair))

    def build(self, input_shape):
        if (
            len(input_shape) != 5
            or None in input_shape[1:4]
            or any(room < size for room, size in zip(input_shape[1:3], self.kernel_size, strict=True))
        ):
            raise ValueError(
                f"Layer {self.name!r}: expected trains (batch, height, width, channels, spikes) of known sizes, with a "
                f"height and width of at least {self.kernel_size}. Received shape: {input_shape}"
            )
        neurons = math.prod(self.compute_output_shape(input_shape)[1:4])
        self.add_weights((*self.kernel_size, input_shape[3], self.filters), neurons)

    def linear_twin(self):
        """Return a layer of the same synapses, see `ttfs_keras.network.operations`."""
        return keras.layers.Conv2D(
            self.filters, self.kernel_size, use_bias=False, kernel_initializer="ones", dtype="float32"
        )

    def compute_output_shape(self, input_shape):
        height, width = (room - size + 1 for room, size in zip(input_shape[1:3], self.kernel_size, strict=True))
        return (input_shape[0], height, width, self.filters, self.max_spikes)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "kernel_size": self.kernel_size}
