"""Rule for max pooling: the earliest spike wins, or the latest where a folded scale is negative."""

import dataclasses

import numpy as np
from keras import layers

from ttfs_keras.conversion.registry import Refusal, register_converter
from ttfs_keras.conversion.values import Spikes
from ttfs_keras.ttfs.pooling import TTFSMaxPooling2D


@register_converter(layers.MaxPooling2D)
def map_max_pooling(layer, value, network):
    """Pool the spikes; max(k x + c) = k sign(k) max(sign(k) x) / |k| + c passes scale and offset on."""
    if not isinstance(value, Spikes):
        raise Refusal("it pools values that have not fired", "put the ReLU before the pooling")
    if layer.data_format != "channels_last":
        raise Refusal("data_format is 'channels_first'", "build the model with channels_last")
    negative = value.scale < 0
    pool = TTFSMaxPooling2D(
        layer.pool_size, layer.strides, layer.padding, signed=bool(negative.any()), name=layer.name,
        dtype=layer.dtype_policy,
    )  # fmt: skip
    tensor = pool(value.tensor)
    if pool.signed:
        pool.sign.assign(np.where(negative, -1.0, 1.0))
    return dataclasses.replace(value, tensor=tensor)
