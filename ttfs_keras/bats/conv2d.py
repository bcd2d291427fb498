"""Convolutional multi-spike neurons."""

import math

import keras
import tensorflow as tf

from ttfs_keras import arguments
from ttfs_keras.bats.multi_spike import MultiSpikeLayer


@keras.saving.register_keras_serializable(package="ttfs_keras")
class BATSConv2D(MultiSpikeLayer):
    """Multi-spike neurons that share a kernel over the image; 'valid' borders, stride 1, no bias.

    Shapes: trains `(batch, height, width, channels, slots)` to `(batch, out_height, out_width, filters, max_spikes)`,
    seconds, ascending, padded with inf.

    Args:
        filters: number of neurons at each position.
        kernel_size: int or pair.
        **kwargs: of `MultiSpikeLayer`, and Keras's.

    Raises:
        ValueError: lists every argument that cannot work; the input is not of rank 5 or smaller than the kernel.
    """

    def __init__(self, filters, kernel_size, **kwargs):
        super().__init__(**kwargs)
        pair = kernel_size if isinstance(kernel_size, list | tuple) else (kernel_size, kernel_size)
        problems = []
        if not arguments.count(filters):
            problems.append(f"filters: expected an int of at least 1. Received: {filters!r}")
        if not (len(pair) == 2 and all(map(arguments.count, pair))):
            problems.append(f"kernel_size: expected one or two ints of at least 1. Received: {kernel_size!r}")
        self.validate(*problems)
        self.filters, self.kernel_size = int(filters), tuple(map(int, pair))

    def build(self, input_shape):
        """Create the kernel (kernel_height, kernel_width, channels, filters)."""
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

    def call(self, times):
        """Return the output trains."""
        return self.fire(times, tf.convert_to_tensor(self.kernel))

    def linear_twin(self):
        """Return a layer of the same synapses, see `ttfs_keras.network.operations`."""
        return keras.layers.Conv2D(
            self.filters, self.kernel_size, use_bias=False, kernel_initializer="ones", dtype="float32"
        )

    def compute_output_shape(self, input_shape):
        """Return (batch, out_height, out_width, filters, max_spikes)."""
        height, width = (room - size + 1 for room, size in zip(input_shape[1:3], self.kernel_size, strict=True))
        return (input_shape[0], height, width, self.filters, self.max_spikes)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "filters": self.filters, "kernel_size": self.kernel_size}
