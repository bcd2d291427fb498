"""Rules for activations in all spellings: ReLU and its clipped and two-sided kin fire, heads stay digital."""

import numpy as np
from keras import layers

from ttfs_keras.conversion.activations import apply_activation, rectify
from ttfs_keras.conversion.registry import register_converter
from ttfs_keras.network.graph import RAW_LEAKY_RELU, RAW_RELU, RAW_RELU6


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


@register_converter(layers.Softmax)
def map_softmax(call, values, network):
    """Keep the softmax of the logits as a digital step."""
    return network.digital(layers.Softmax(call.operation.axis, name=network.unique(call.name)), values[0])


@register_converter(RAW_RELU)
def map_raw_relu(call, values, network):
    """Fire."""
    return rectify(values[0], network, call)


@register_converter(RAW_RELU6)
def map_raw_relu6(call, values, network):
    """Fire in a window of width 6."""
    return rectify(values[0], network, call, max_value=6.0)


@register_converter(RAW_LEAKY_RELU)
def map_raw_leaky_relu(call, values, network):
    """Fire a positive and a negative channel."""
    return rectify(values[0], network, call, negative_slope=call.operation.negative_slope)
