"""Activation functions as what the spiking network has in their place: neurons, or a digital step at the end."""

from typing import Any

import keras
import numpy as np
from keras import activations, layers

from ttfs_keras.conversion.registry import Refusal, rule_of
from ttfs_keras.conversion.values import Emitted, refuse_digital

HEADS = (activations.softmax, activations.sigmoid)


def apply_activation(activation: Any, value: Any, network: Any, call: Any) -> Any:
    """Return the mapped value behind an activation function or an activation layer given as one."""
    if activation in (None, activations.linear):
        return value
    if activation in (activations.relu, keras.ops.relu):
        return rectify(value, network, call)
    if activation in (activations.relu6, keras.ops.relu6):
        return rectify(value, network, call, max_value=6.0)
    if activation is activations.leaky_relu:
        return rectify(value, network, call, negative_slope=0.2)
    if activation in HEADS:
        step = layers.Activation(activation, name=network.unique(f"{call.name}_{activation.__name__}"))
        return network.digital(step, value)
    rule = rule_of(activation) if isinstance(activation, layers.Layer) else None
    if rule is not None:
        return rule(call.of(activation), [value], network)
    name = getattr(activation, "__name__", None) or getattr(activation, "name", None) or repr(activation)
    raise Refusal(f"its activation {name} is not piecewise linear", "train the model with ReLU")


def rectify(
    value: Any,
    network: Any,
    call: Any,
    max_value: float | None = None,
    negative_slope: Any = 0.0,
    threshold: float = 0.0,
) -> Any:
    """Return what ReLU makes of a value: spikes, or two channels of them where negative inputs pass with a slope.

        max(v, 0) - negative_slope max(-v, 0)        a positive and a negative channel, exact for LeakyReLU and PReLU

    Args:
        value: mapped input.
        network: the `Network`.
        call: the source's `Call` that has these activations.
        max_value: clip of ReLU6, a window of that width.
        negative_slope: number or array that broadcasts to one sample.
        threshold: >= 0; activations up to it are 0, as if the neurons stopped firing that long before t_max.
    """
    refuse_digital(value)
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
        return network.fire(value, call.name, clip=max_value, threshold=threshold)
    if max_value is not None or threshold:
        raise Refusal("it has a negative_slope besides max_value or threshold", "train the model with one of them")
    if not slope.ndim:
        slope = np.asarray(np.float32(slope), np.float64)  # as TensorFlow's leaky_relu holds it, whatever the dtype
    positive, negative = network.signed_spikes(value, call.name)
    negative = Emitted(value.shape, negative.scale * slope, tensor=negative.tensor)
    return network.difference(positive, negative, call.name)
