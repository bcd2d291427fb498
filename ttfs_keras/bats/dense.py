"""Fully connected multi-spike neurons."""

import keras
import tensorflow as tf

from ttfs_keras import arguments
from ttfs_keras.bats.functional import as_filter, as_image
from ttfs_keras.bats.multi_spike import MultiSpikeLayer


@keras.saving.register_keras_serializable(package="ttfs_keras")
class BATSDense(MultiSpikeLayer):
    """Multi-spike neurons that all inputs reach; see `ttfs_keras.ops.spikes` for the model and its source.

    Shapes: trains `(batch, pre, slots)` to `(batch, units, max_spikes)`, seconds, ascending, padded with inf.

    Args:
        units: number of neurons.
        **kwargs: of `MultiSpikeLayer`, and Keras's.

    Raises:
        ValueError: lists every argument that cannot work; the input is not of rank 3 or of unknown size.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        valid = arguments.count(units)
        self.validate(*([] if valid else [f"units: expected an int of at least 1. Received: {units!r}"]))
        self.units = int(units)

    def build(self, input_shape):
        """Create the kernel (pre, units)."""
        if len(input_shape) != 3 or input_shape[1] is None:
            raise ValueError(
                f"Layer {self.name!r}: expected trains (batch, neurons, spikes) of a known number of neurons. "
                f"Received shape: {input_shape}; FlattenSpikes turns (batch, height, width, channels, spikes) into that"
            )
        self.add_weights((input_shape[1], self.units), self.units)

    def call(self, times):
        """Return the output trains."""
        kernel = as_filter(tf.convert_to_tensor(self.kernel))
        return tf.squeeze(self.fire(as_image(times), kernel), (1, 2))

    def linear_twin(self):
        """Return a layer of the same synapses, see `ttfs_keras.network.operations`."""
        return keras.layers.Dense(self.units, use_bias=False, kernel_initializer="ones", dtype="float32")

    def compute_output_shape(self, input_shape):
        """Return (batch, units, max_spikes)."""
        return (input_shape[0], self.units, self.max_spikes)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units}
