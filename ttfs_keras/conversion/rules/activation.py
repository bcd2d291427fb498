"""Rules for activations in all spellings: ReLU and its clipped and two-sided kin fire, heads stay digital."""

import keras
import numpy as np
from keras import activations, layers

from ttfs_keras.conversion.registry import Refusal, register_converter
from ttfs_keras.conversion.values import Digital, Emitted
from ttfs_keras.network.graph import RAW_LEAKY_RELU, RAW_RELU, RAW_RELU6

HEADS = (activations.softmax, activations.sigmoid)


def apply_activation(activation, value, network):
    """Return the mapped value behind an activation function or an activation layer given as one."""
    if activation in (None, activations.linear):
        return value
    if activation in (activations.relu, keras.ops.relu):
        return rectify(value, network)
    if activation in (activations.relu6, keras.ops.relu6):
        return rectify(value, network, max_value=6.0)
    if activation is activations.leaky_relu:
        return rectify(value, network, negative_slope=0.2)
    if activation in HEADS:
        step = layers.Activation(activation, name=network.unique(f"{network.name}_{activation.__name__}"))
        return _digital(step, value, network)
    if isinstance(activation, layers.Layer):
        return map_activation_layer(activation, [value], network)
    name = getattr(activation, "__name__", None) or repr(activation)
    raise Refusal(f"its activation {name} is not piecewise linear", "train the model with ReLU")


def _digital(step, value, network):
    tensor = network.read_out(value).tensor
    step.dtype_policy = keras.dtype_policies.get(tensor.dtype)
    return Digital(step(tensor))


def rectify(value, network, max_value=None, negative_slope=0.0, threshold=0.0):
    """Return what ReLU makes of a value: spikes, or a pair of them where negative inputs pass with a slope.

        max(v, 0) - negative_slope max(-v, 0)        two rails, exact for LeakyReLU and PReLU

    Args:
        value: mapped input.
        network: the `Network`.
        max_value: clip of ReLU6, a window of that width.
        negative_slope: number or array that broadcasts to one sample.
        threshold: >= 0; activations up to it are 0, as if the neurons stopped firing that long before t_max.
    """
    if isinstance(value, Digital):
        raise Refusal("it stands behind a softmax or sigmoid", "end the model there")
    if threshold < 0:
        raise Refusal(f"threshold={threshold} passes negative values", "train the model with threshold >= 0")
    if max_value is not None and max_value <= 0:
        raise Refusal(f"max_value={max_value} leaves nothing", "give it a positive max_value")
    if max_value is not None and threshold >= max_value:
        raise Refusal(f"threshold={threshold} is not below max_value={max_value}", "raise max_value")
    if max_value is not None:
        max_value = float(np.float32(max_value))  # as Keras's clip holds it, whatever the dtype
    slope = np.asarray(negative_slope, np.float64)
    if not slope.any():
        return network.fire(value, network.name, clip=max_value, threshold=threshold)
    if max_value is not None or threshold:
        raise Refusal("it has a negative_slope besides max_value or threshold", "train the model with one of them")
    if not slope.ndim:
        slope = np.asarray(np.float32(slope), np.float64)  # as TensorFlow's leaky_relu holds it, whatever the dtype
    positive, negative = network.two_rails(value, network.name)
    negative = Emitted(value.shape, negative.scale * slope, tensor=negative.tensor)
    difference = layers.Subtract(name=network.unique(f"{network.name}_rails"), dtype=positive.tensor.dtype)
    return Emitted(value.shape, tensor=difference([network.realise(positive), network.realise(negative)]))


@register_converter(layers.ReLU)
def map_relu(layer, values, network):
    """Fire."""
    return rectify(values[0], network, layer.max_value, layer.negative_slope, layer.threshold)


@register_converter(layers.LeakyReLU, layers.PReLU)
def map_leaky_relu(layer, values, network):
    """Fire two rails."""
    slope = layer.negative_slope if isinstance(layer, layers.LeakyReLU) else np.asarray(layer.alpha)
    return rectify(values[0], network, negative_slope=slope)


@register_converter(layers.Activation)
def map_activation(layer, values, network):
    """Apply the function."""
    return apply_activation(layer.activation, values[0], network)


@register_converter(layers.Softmax)
def map_softmax(layer, values, network):
    """Keep the softmax of the logits as a digital step."""
    return _digital(layers.Softmax(layer.axis, name=network.unique(network.name)), values[0], network)


@register_converter(RAW_RELU)
def map_raw_relu(operation, values, network):
    """Fire."""
    return rectify(values[0], network)


@register_converter(RAW_RELU6)
def map_raw_relu6(operation, values, network):
    """Fire in a window of width 6."""
    return rectify(values[0], network, max_value=6.0)


@register_converter(RAW_LEAKY_RELU)
def map_raw_leaky_relu(operation, values, network):
    """Fire two rails."""
    return rectify(values[0], network, negative_slope=operation.negative_slope)


def map_activation_layer(layer, values, network):
    """Apply a layer that was given as an activation."""
    rules = {layers.ReLU: map_relu, layers.LeakyReLU: map_leaky_relu, layers.PReLU: map_leaky_relu}
    rule = rules.get(type(layer))
    if rule is None:
        raise Refusal(f"its activation {layer.name} is not piecewise linear", "train the model with ReLU")
    return rule(layer, values, network)
