"""Rules for layers where branches meet: their spikes arrive together, since skips are delayed."""

import numpy as np
from keras import layers

from ttfs_keras.conversion.registry import Refusal, register_converter
from ttfs_keras.conversion.rules.pooling import clone, emitted
from ttfs_keras.conversion.values import Digital, Emitted
from ttfs_keras.network.graph import RAW_ADD, RAW_SUBTRACT


@register_converter(layers.Add, layers.Subtract, layers.Average)
def map_merge(layer, values, network):
    """Sum the potentials that the branches give."""
    if any(isinstance(value, Digital) for value in values):
        raise Refusal("it stands behind a softmax or sigmoid", "end the model there")
    tensors = [network.realise(value) for value in values]
    return Emitted(network.shape, tensor=clone(layer, network, tensors, dtype=tensors[0].dtype))


@register_converter(RAW_ADD, RAW_SUBTRACT)
def map_raw_merge(operation, values, network):
    """Sum or subtract two branches; constants are not followed."""
    if len(values) != 2:
        raise Refusal("it has an operand that is not a tensor of the model", "use layers.Rescaling or a bias")
    kind = layers.Add if isinstance(operation, RAW_ADD) else layers.Subtract
    return map_merge(kind(), values, network)


@register_converter(layers.Concatenate)
def map_concatenate(layer, values, network):
    """Set the branches side by side, with their scales and offsets if they meet along the channels."""
    parts = [emitted(value, network) for value in values]
    channels = [part.per_channel() for part in parts]
    if layer.axis in (-1, len(network.shape) - 1) and None not in channels:
        scale, offset = (np.concatenate(columns) for columns in zip(*channels, strict=True))
        tensors = [part.tensor for part in parts]
    else:
        tensors = [network.realise(part) for part in parts]
        scale, offset = np.ones(1), np.zeros(1)
    spikes = all(part.spikes and tensor is part.tensor for part, tensor in zip(parts, tensors, strict=True))
    return Emitted(network.shape, scale, offset, clone(layer, network, tensors), spikes)
