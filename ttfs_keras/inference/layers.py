"""Layers whose weights are packed for the event-driven ops; for inference only."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from ttfs_keras.ops import event_driven as ops
from ttfs_keras.ttfs.lead_times import LeadTimes
from ttfs_keras.ttfs.neuron import TTFSNeuron


class EventDriven(keras.layers.Layer):
    """Base of layers that apply the weights of inputs that are not 0 and skip all others.

    Args:
        bias_shape: `(units,)`, or a map `(height, width, filters)` for one value a position.
        neuron: `TTFSNeuron`, or its configuration, that fires on the potentials, or None to give the potentials.

    Attributes:
        packed: the weights, as the op takes them, not trainable.
        bias: threshold offsets of shape `bias_shape`, not trainable.
    """

    def __init__(self, bias_shape: Sequence[int], neuron: TTFSNeuron | dict | None = None, **kwargs: Any):
        super().__init__(**kwargs | {"trainable": False})
        self.supports_jit = False  # XLA cannot compile a custom op
        self.bias_shape = tuple(bias_shape)
        self.neuron: Any = TTFSNeuron.from_config(neuron) if isinstance(neuron, dict) else neuron

    def packed_shape(self, input_shape: Sequence[int | None]) -> tuple[int, ...]:
        """Return the shape of the packed weights for inputs of a shape."""
        raise NotImplementedError  # abstract

    def pack(self, kernel: np.ndarray) -> np.ndarray:
        """Return a kernel as the op takes it."""
        raise NotImplementedError  # abstract

    def apply_weights(self, lead: Any, window: Any) -> tuple[Any, Any]:
        """Return (output, number of weights applied) for lead times; see `ttfs_keras.ops.event_driven`.

        Args:
            lead: `(batch, ..., inputs)`.
            window: width of the firing window, or None to give potentials.
        """
        raise NotImplementedError  # abstract

    def build(self, input_shape):
        self.packed = self.add_weight(name="packed", shape=self.packed_shape(input_shape), initializer="zeros")
        self.bias = self.add_weight(name="bias", shape=self.bias_shape, initializer="zeros")
        if self.neuron is not None:
            self.neuron.build(self.compute_output_shape(input_shape))

    def set_kernel(self, kernel: np.ndarray, bias: np.ndarray) -> None:
        """Pack a kernel, in the layout of the Keras layer, and take the bias."""
        self.packed.assign(self.pack(kernel))
        self.bias.assign(bias)

    def applied(self, lead: Any) -> Any:
        """Return the number of weights that the lead times of a batch apply, int64 scalar."""
        return self.apply_weights(tf.cast(lead, self.compute_dtype), None)[1]

    def call(self, lead):
        if self.neuron is None:
            return self.apply_weights(lead, None)[0]
        window = keras.ops.convert_to_tensor(self.neuron.window)
        fired, _ = self.apply_weights(lead, window)
        for item in self.neuron.perturbations:
            fired = item.perturb_spikes(fired, window)
        return fired

    def get_config(self):
        neuron = None if self.neuron is None else self.neuron.get_config()
        return {**super().get_config(), "bias_shape": self.bias_shape, "neuron": neuron}


@keras.saving.register_keras_serializable(package="ttfs_keras")
class EventDrivenDense(EventDriven):
    """Event-driven twin of `Dense` and `TTFSReadout`: potentials `(batch, ..., units)` of `(batch, ..., inputs)`."""

    @property
    def units(self) -> int:
        """Number of outputs."""
        return self.bias_shape[-1]

    def packed_shape(self, input_shape):
        return ops.packed_dense_shape(input_shape[-1], self.units)

    def pack(self, kernel):
        return ops.pack_dense(kernel)

    def apply_weights(self, lead, window):
        flat = lead if len(lead.shape) == 2 else tf.reshape(lead, [-1, lead.shape[-1]])
        output, applied = ops.dense(flat, self.packed, self.bias, window)
        if len(lead.shape) != 2:
            output = tf.reshape(output, tf.concat([tf.shape(lead)[:-1], [self.units]], 0))
        return output, applied

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def linear_twin(self) -> keras.layers.Layer:
        """Return a layer of the same synapses without bias and neurons, all of whose weights are 1."""
        return layers.Dense(self.units, use_bias=False, kernel_initializer="ones")


@keras.saving.register_keras_serializable(package="ttfs_keras")
class EventDrivenConv2D(EventDriven):
    """Event-driven twin of `Conv2D` and, with a group a channel, of `DepthwiseConv2D`; channels last.

    Args:
        kernel_size, strides, dilations: (height, width).
        padding: zeros around the image, (top, bottom, left, right).
        groups: of channels and filters.
        bias_shape, neuron: see `EventDriven`.
    """

    def __init__(
        self,
        kernel_size: Sequence[int],
        strides: Sequence[int],
        dilations: Sequence[int],
        padding: Sequence[int],
        groups: int,
        bias_shape: Sequence[int],
        neuron: TTFSNeuron | dict | None = None,
        **kwargs: Any,
    ):
        super().__init__(bias_shape, neuron, **kwargs)
        self.movement: dict[str, Any] = {
            "kernel_size": tuple(kernel_size),
            "strides": tuple(strides),
            "dilations": tuple(dilations),
            "padding": tuple(padding),
            "groups": groups,
        }

    @property
    def filters(self) -> int:
        """Number of output channels."""
        return self.bias_shape[-1]

    def packed_shape(self, input_shape):
        groups = self.movement["groups"]
        kernel_shape = (*self.movement["kernel_size"], input_shape[-1] // groups, self.filters)
        return ops.packed_conv2d_shape(kernel_shape, groups)

    def pack(self, kernel):
        return ops.pack_conv2d(kernel, self.movement["groups"])

    def apply_weights(self, lead, window):
        return ops.conv2d(lead, self.packed, self.bias, window, **self.movement)

    def compute_output_shape(self, input_shape):
        before, after = self.movement["padding"][::2], self.movement["padding"][1::2]
        columns = (self.movement[name] for name in ("kernel_size", "strides", "dilations"))
        sizes = zip(input_shape[1:3], before, after, *columns, strict=True)
        image = (None if n is None else (n + a + b - (k - 1) * d - 1) // s + 1 for n, a, b, k, s, d in sizes)
        return (input_shape[0], *image, self.filters)

    def linear_twin(self) -> keras.layers.Layer:
        """Return a layer of the same synapses without bias and neurons, all of whose weights are 1."""
        top, bottom, left, right = self.movement["padding"]
        convolution = layers.Conv2D(
            self.filters, self.movement["kernel_size"], self.movement["strides"], groups=self.movement["groups"],
            dilation_rate=self.movement["dilations"], use_bias=False, kernel_initializer="ones",
            data_format="channels_last",
        )  # fmt: skip
        return keras.Sequential([layers.ZeroPadding2D(((top, bottom), (left, right)), "channels_last"), convolution])

    def get_config(self):
        return {**super().get_config(), **self.movement}


class _Fires(LeadTimes):
    """Mixin of event-driven layers that have neurons."""

    neuron: Any

    @property
    def window(self):
        """The width t_max - t_min, a scalar weight in window time."""
        return self.neuron.window


@keras.saving.register_keras_serializable(package="ttfs_keras")
class EventDrivenTTFSDense(_Fires, EventDrivenDense):
    """Event-driven twin of `TTFSDense`: lead times `(batch, ..., inputs)` to lead times `(batch, ..., units)`."""


@keras.saving.register_keras_serializable(package="ttfs_keras")
class EventDrivenTTFSConv2D(_Fires, EventDrivenConv2D):
    """Event-driven twin of `TTFSConv2D`."""
