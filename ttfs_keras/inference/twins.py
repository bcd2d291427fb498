"""From a layer with weights to its event-driven twin."""

from typing import Any

import keras
import numpy as np
from keras import layers

from ttfs_keras.inference.layers import (
    EventDriven,
    EventDrivenConv2D,
    EventDrivenDense,
    EventDrivenTTFSConv2D,
    EventDrivenTTFSDense,
)
from ttfs_keras.network.graph import Call
from ttfs_keras.ttfs.conv2d import TTFSConv2D
from ttfs_keras.ttfs.dense import TTFSDense
from ttfs_keras.ttfs.neuron import TTFSNeuron
from ttfs_keras.ttfs.readout import TTFSReadout
from ttfs_keras.ttfs.synapses import Synapses

TWINS: dict[type, type] = {
    TTFSDense: EventDrivenTTFSDense,
    TTFSConv2D: EventDrivenTTFSConv2D,
    TTFSReadout: EventDrivenDense,
    layers.Dense: EventDrivenDense,
    layers.Conv2D: EventDrivenConv2D,
    layers.DepthwiseConv2D: EventDrivenConv2D,
}
DTYPES = ("float32", "float64")


def has_twin(call: Call) -> bool:
    """Whether a call is one of a layer that can run event-driven.

    These are TTFS layers, and Keras's own dense, convolutional and depthwise layers without activation, in float32 or
    float64. What depends on the size of an image needs to know it.
    """
    layer, shape = call.operation, call.inputs[0].shape
    if type(layer) not in TWINS or layer.compute_dtype not in DTYPES or layer.variable_dtype != layer.compute_dtype:
        return False
    if layer.activation is not keras.activations.linear or getattr(layer, "quantization_mode", None) is not None:
        return False
    if not issubclass(TWINS[type(layer)], EventDrivenConv2D):
        return True
    sized = layer.padding == "valid" or tuple(layer.strides) == (1, 1)
    if getattr(layer, "input_affine", None) is not None:
        sized = False
    return layer.data_format == "channels_last" and (sized or None not in shape[1:3])


def twin(call: Call) -> EventDriven:
    """Return the event-driven layer that computes what a call does; see `has_twin`.

    Raises:
        ValueError: the layer's weights are not finite.
    """
    layer, shape = call.operation, call.inputs[0].shape
    kernel, bias = _weights(layer, shape)
    if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
        raise ValueError(f"{call.name}: expected finite weights. Received: NaN or infinity among them")
    arguments: dict[str, Any] = {"name": call.name, "dtype": layer.dtype_policy, "bias_shape": bias.shape}
    if (neuron := getattr(layer, "neuron", None)) is not None:
        arguments["neuron"] = TTFSNeuron.from_config(neuron.get_config())
    if isinstance(layer, layers.Dense):
        found = TWINS[type(layer)](**arguments)
    else:
        depthwise = isinstance(layer, layers.DepthwiseConv2D)
        if depthwise:
            kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
        found = TWINS[type(layer)](
            kernel_size=layer.kernel_size,
            strides=layer.strides,
            dilations=layer.dilation_rate,
            padding=_padding(layer, shape),
            groups=shape[-1] if depthwise else layer.groups,
            **arguments,
        )
    found.build(shape)
    found.set_kernel(kernel, bias)
    if neuron is not None:
        found.neuron.set_weights(neuron.get_weights())
    return found


def _weights(layer, shape):
    """Return kernel and bias, zeros without one, as arrays; a bias that differs between positions is a map."""
    if isinstance(layer, Synapses):
        kernel, bias = layer.effective_weights((1, *shape[1:]))
    else:
        kernel, bias = layer.kernel, layer.bias
    kernel = np.asarray(kernel)
    if bias is None:
        filters = kernel.shape[-1] * (kernel.shape[-2] if isinstance(layer, layers.DepthwiseConv2D) else 1)
        return kernel, np.zeros(filters, kernel.dtype)
    bias = np.asarray(bias)
    return kernel, bias[0] if bias.ndim == 4 else bias


def _padding(layer, shape):
    """Return (top, bottom, left, right), as TensorFlow pads."""
    if layer.padding == "valid":
        return (0, 0, 0, 0)
    sizes = []
    for n, k, s, d in zip(shape[1:3], layer.kernel_size, layer.strides, layer.dilation_rate, strict=True):
        total = (k - 1) * d if s == 1 else max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        sizes += [total // 2, total - total // 2]
    return tuple(sizes)
