"""Rules for layers where branches meet: their spikes arrive together, since skips are delayed."""

import numpy as np
from keras import layers

from ttfs_keras.conversion.registry import Refusal, register_converter
from ttfs_keras.conversion.values import Emitted, refuse_digital, widest
from ttfs_keras.network.graph import RAW_ADD, RAW_SUBTRACT


@register_converter(layers.Add, layers.Subtract, layers.Average)
def map_merge(call, values, network):
    """Sum the potentials that the branches give."""
    refuse_digital(*values)
    tensors = [network.realise(value) for value in values]
    return Emitted(call.shape, tensor=network.clone(call, tensors, dtype=widest(tensors)))


@register_converter(RAW_ADD, RAW_SUBTRACT)
def map_raw_merge(call, values, network):
    """Sum or subtract two branches; constants are not followed."""
    if len(values) != 2:
        raise Refusal("it has an operand that is not a tensor of the model", "use layers.Rescaling or a bias")
    kind = layers.Add if isinstance(call.operation, RAW_ADD) else layers.Subtract
    return map_merge(call.of(kind()), values, network)


@register_converter(layers.Concatenate)
def map_concatenate(call, values, network):
    """Set the branches side by side, with their scales and offsets if they meet along the channels."""
    parts = [network.emitted(value) for value in values]
    channels = [part.per_channel() for part in parts]
    if call.operation.axis in (-1, len(call.shape) - 1) and None not in channels:
        scale, offset = (np.concatenate(columns) for columns in zip(*channels, strict=True))
        tensors = [part.tensor for part in parts]
    else:
        tensors = [network.realise(part) for part in parts]
        scale, offset = np.ones(1), np.zeros(1)
    spikes = all(part.spikes and tensor is part.tensor for part, tensor in zip(parts, tensors, strict=True))
    return Emitted(call.shape, scale, offset, network.clone(call, tensors), spikes)
