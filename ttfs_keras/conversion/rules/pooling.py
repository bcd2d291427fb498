"""Rules for pooling: max pooling is the earliest spike, average pooling fixed weights."""

import dataclasses

import numpy as np
from keras import layers

from ttfs_keras.conversion.registry import register_converter
from ttfs_keras.conversion.values import channels_last
from ttfs_keras.ttfs.pooling import OF_KERAS


@register_converter(*OF_KERAS)
def map_max_pooling(call, values, network):
    """Pool spikes; signed values are pooled in a positive and a negative channel.

    max(k x + c) = k sign(k) max(sign(k) x) + c        max(v) = max(max(v, 0)) - min(max(-v, 0))
    """
    channels_last(call.operation)
    value = network.plain(values[0])
    if value.spikes:
        tensor = _max(call, value.tensor, value.scale < 0, network)
        return dataclasses.replace(value, shape=call.shape, tensor=tensor)
    channels = network.signed_spikes(value, call.name)
    zeros = np.zeros(value.shape[-1], bool)
    pooled = [
        dataclasses.replace(channel, shape=call.shape, tensor=_max(call, channel.tensor, smallest, network))
        for channel, smallest in zip(channels, (zeros, ~zeros), strict=True)
    ]
    return network.sum(pooled[:1], pooled[1:], call.name)


def _max(call, tensor, negative, network):
    """Return the largest lead time of each pool, in negative channels the smallest."""
    layer = call.operation
    config = layer.get_config() | {"name": network.unique(call.name), "dtype": tensor.dtype}
    pool = OF_KERAS[type(layer)].from_config(config | {"signed": bool(negative.any())})
    pooled = pool(tensor)
    if pool.signed:
        pool.sign.assign(np.where(negative, -1.0, 1.0))
    return pooled


@register_converter(
    layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D,
    layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D,
)  # fmt: skip
def map_average_pooling(call, values, network):
    """Average lead times: fixed synaptic weights, which keep the scale and the offset of a channel."""
    channels_last(call.operation)
    value = network.plain(values[0])
    return dataclasses.replace(value, shape=call.shape, tensor=network.clone(call, value.tensor), spikes=False)
