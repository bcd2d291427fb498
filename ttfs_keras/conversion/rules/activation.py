"""Rules for activations in all spellings: ReLU and its clipped and two-sided kin fire."""

import numpy as np
from keras import layers

from ttfs_keras.conversion.activations import (
    absolute,
    apply_activation,
    clip,
    hard_shrink,
    hard_sigmoid,
    rectify,
    soft_shrink,
)  # fmt: skip
from ttfs_keras.conversion.registry import Refusal, register_converter
from ttfs_keras.network import raw


@register_converter(layers.ReLU)
def map_relu(call, values, network):
    """Fire."""
    layer = call.operation
    return rectify(values[0], network, call, layer.max_value, layer.negative_slope, layer.threshold)


@register_converter(layers.LeakyReLU, layers.PReLU)
def map_leaky_relu(call, values, network):
    """Fire a positive and a negative channel."""
    layer = call.operation
    slope = layer.negative_slope if isinstance(layer, layers.LeakyReLU) else np.asarray(layer.alpha)
    return rectify(values[0], network, call, negative_slope=slope)


@register_converter(layers.Activation)
def map_activation(call, values, network):
    """Apply the function."""
    return apply_activation(call.operation.activation, values[0], network, call)


@register_converter(raw.RELU)
def map_raw_relu(call, values, network):
    """Fire."""
    return rectify(values[0], network, call)


@register_converter(raw.RELU6)
def map_raw_relu6(call, values, network):
    """Fire in a window of width 6."""
    return rectify(values[0], network, call, max_value=6.0)


@register_converter(raw.LEAKY_RELU)
def map_raw_leaky_relu(call, values, network):
    """Fire a positive and a negative channel."""
    return rectify(values[0], network, call, negative_slope=call.operation.negative_slope)


@register_converter(raw.HARD_SIGMOID)
def map_raw_hard_sigmoid(call, values, network):
    """Fire in a window of width 1."""
    return hard_sigmoid(values[0], network, call)


@register_converter(raw.HARD_TANH)
def map_raw_hard_tanh(call, values, network):
    """Fire in a window of width 2."""
    return clip(values[0], -1.0, 1.0, network, call)


@register_converter(raw.CLIP)
def map_raw_clip(call, values, network):
    """Fire in a window of the width between the bounds."""
    low, high = call.operation.x_min, call.operation.x_max
    if np.ndim(low) or np.ndim(high):
        raise Refusal("it clips to bounds that are arrays", "clip to numbers")
    return clip(values[0], float(low), float(high), network, call)


@register_converter(raw.SOFT_SHRINK)
def map_raw_soft_shrink(call, values, network):
    """Fire a positive and a negative channel, both later by the threshold."""
    return soft_shrink(values[0], call.operation.threshold, network, call)


@register_converter(raw.HARD_SHRINK)
def map_raw_hard_shrink(call, values, network):
    """Fire a positive and a negative channel that both close early."""
    return hard_shrink(values[0], call.operation.threshold, network, call)


@register_converter(*raw.ABSOLUTE)
def map_absolute(call, values, network):
    """Fire a positive and a negative channel, and add them."""
    return absolute(values[0], network, call)
