"""Rules for layers that move or repeat values, or that do nothing in inference."""

import dataclasses

import numpy as np
from keras import layers

from ttfs_keras.conversion.registry import Refusal, register_converter
from ttfs_keras.conversion.values import Digital, channels_last


@register_converter(layers.Flatten, layers.Reshape, layers.Permute)
def map_reshape(call, values, network):
    """Move the values with their scales and offsets."""
    (value,), layer = values, call.operation
    if isinstance(value, Digital):
        return Digital(network.clone(call, value.tensor))
    value = network.emitted(value)
    tensor = network.clone(call, value.tensor)

    def moved(array):
        if array.size == 1:
            return array.reshape(1)
        if None in value.shape[1:]:
            raise Refusal(f"it reshapes {value.shape}, whose size is free", "give the model's input a fixed shape")
        full = np.broadcast_to(array, value.shape[1:])
        if isinstance(layer, layers.Permute):
            return full.transpose([axis - 1 for axis in layer.dims])
        return full.reshape(call.shape[1:])

    scale, offset = moved(value.scale), moved(value.offset)
    return dataclasses.replace(value, shape=call.shape, tensor=tensor, scale=scale, offset=offset)


@register_converter(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D)
def map_zero_padding(call, values, network):
    """Pad with silence; an offset is realised first, since the source pads with its zeros after it."""
    channels_last(call.operation)
    value = network.plain(values[0])
    if value.offset.any():
        value = type(value)(value.shape, tensor=network.realise(value))
    return dataclasses.replace(value, shape=call.shape, tensor=network.clone(call, value.tensor))


@register_converter(
    layers.Cropping1D,
    layers.Cropping2D,
    layers.Cropping3D,
    layers.UpSampling1D,
    layers.UpSampling2D,
    layers.UpSampling3D,
)
def map_cropping(call, values, network):
    """Crop or repeat the values."""
    channels_last(call.operation)
    interpolation = getattr(call.operation, "interpolation", "nearest")
    if interpolation != "nearest":
        raise Refusal(f"interpolation={interpolation!r} is not of spikes", "use interpolation='nearest'")
    value = network.plain(values[0])
    return dataclasses.replace(value, shape=call.shape, tensor=network.clone(call, value.tensor))


@register_converter(
    layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D, layers.AlphaDropout,
    layers.GaussianDropout, layers.GaussianNoise, layers.ActivityRegularization, layers.Identity,
    layers.RandomFlip, layers.RandomRotation, layers.RandomTranslation, layers.RandomZoom, layers.RandomContrast,
    layers.RandomBrightness,
)  # fmt: skip
def map_identity(call, values, network):
    """Pass on; it acts in training only."""
    return values[0]
