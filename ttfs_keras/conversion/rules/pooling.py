"""Rules for pooling: max pooling is the earliest spike, average pooling fixed weights."""

import dataclasses

import numpy as np
from keras import layers

from ttfs_keras.conversion.registry import Refusal, register_converter
from ttfs_keras.conversion.rules.linear import channels_last
from ttfs_keras.conversion.values import Digital, Emitted
from ttfs_keras.ttfs.pooling import OF_KERAS


def clone(layer, network, tensor, **changes):
    """Return what a copy of a layer without weights, under the call's name, makes of a tensor."""
    config = layer.get_config() | {"name": network.unique(network.name)} | changes
    return type(layer).from_config(config)(tensor)


def emitted(value, network):
    """Return a value as an `Emitted` one."""
    if isinstance(value, Digital):
        raise Refusal("it stands behind a softmax or sigmoid", "end the model there")
    return value if isinstance(value, Emitted) else Emitted(value.shape, tensor=network.realise(value))


def plain(value, network):
    """Return a value as an `Emitted` one whose scale and offset are those of whole channels."""
    value = emitted(value, network)
    channels = value.per_channel()
    if channels is None:
        return Emitted(value.shape, tensor=network.realise(value))
    return dataclasses.replace(value, scale=channels[0], offset=channels[1])


@register_converter(*OF_KERAS)
def map_max_pooling(layer, values, network):
    """Pool spikes; signed values are pooled on two rails.

    max(k x + c) = k sign(k) max(sign(k) x) + c        max(v) = max(max(v, 0)) - min(max(-v, 0))
    """
    channels_last(layer)
    value = plain(values[0], network)
    if value.spikes:
        tensor = _max(layer, value.tensor, value.scale < 0, network)
        return dataclasses.replace(value, shape=network.shape, tensor=tensor)
    positive, negative = network.two_rails(value, network.name)
    signs = np.zeros(value.shape[-1], bool)
    pooled = [
        network.realise(dataclasses.replace(rail, shape=network.shape, tensor=_max(layer, rail.tensor, sign, network)))
        for rail, sign in ((positive, signs), (negative, ~signs))
    ]
    difference = layers.Subtract(name=network.unique(f"{network.name}_rails"), dtype=pooled[0].dtype)
    return Emitted(network.shape, tensor=difference(pooled))


def _max(layer, tensor, negative, network):
    """Return the largest lead time of each pool, in negative channels the smallest."""
    config = layer.get_config() | {"name": network.unique(network.name), "dtype": tensor.dtype}
    pool = OF_KERAS[type(layer)].from_config(config | {"signed": bool(negative.any())})
    pooled = pool(tensor)
    if pool.signed:
        pool.sign.assign(np.where(negative, -1.0, 1.0))
    return pooled


@register_converter(
    layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D,
    layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D,
)  # fmt: skip
def map_average_pooling(layer, values, network):
    """Average lead times: fixed synaptic weights, which keep the scale and the offset of a channel."""
    channels_last(layer)
    value = plain(values[0], network)
    return dataclasses.replace(value, shape=network.shape, tensor=clone(layer, network, value.tensor), spikes=False)
