"""Rules for layers that move values or that do nothing in inference."""

import dataclasses

import numpy as np
from keras import layers

from ttfs_keras.conversion.registry import Refusal, register_converter
from ttfs_keras.conversion.values import Spikes


@register_converter(layers.Flatten)
def map_flatten(layer, value, network):
    """Flatten the spikes and repeat scale and offset for every position."""
    if not isinstance(value, Spikes):
        raise Refusal("it flattens values that have not fired", "put the ReLU before it")
    tensor = layers.Flatten(name=layer.name, dtype=layer.dtype_policy)(value.tensor)
    positions = tensor.shape[-1] // len(value.scale)
    return dataclasses.replace(
        value, tensor=tensor, scale=np.tile(value.scale, positions), offset=np.tile(value.offset, positions)
    )


@register_converter(layers.Dropout)
def map_identity(layer, value, network):
    """Pass on; it acts in training only."""
    return value
