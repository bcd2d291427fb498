"""Rules for operations that move, repeat or sum values with fixed weights, or that do nothing in inference."""

import dataclasses

from keras import layers

from ttfs_keras.conversion.registry import Refusal, register_converter
from ttfs_keras.conversion.values import channels_last
from ttfs_keras.network import raw
from ttfs_keras.ttfs.relays import passes_spikes


@register_converter(
    layers.Flatten, layers.Reshape, layers.Permute, layers.RepeatVector,
    layers.Cropping1D, layers.Cropping2D, layers.Cropping3D,
    layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D, layers.Resizing, raw.RESIZE, *raw.MOVES, *raw.SUMS,
)  # fmt: skip
def map_moves(call, values, network):
    """Move the values with their scales and offsets, or sum them where the operation interpolates or averages."""
    layer = call.operation
    if getattr(layer, "fill_value", 0.0) or getattr(layer, "constant_values", 0.0):
        raise Refusal("it fills in a constant", "fill in 0")
    if passes_spikes(layer):
        return network.moved(call, values)
    return (network.interpolated if hasattr(layer, "interpolation") else network.summed)(call, values)


@register_converter(layers.CenterCrop)
def map_center_crop(call, values, network):
    """Crop the values."""
    layer = call.operation
    axes = (1, 2) if layer.data_format == "channels_last" else (2, 3)
    sizes = [values[0].shape[axis] for axis in axes]
    if any(size is None or size < wanted for size, wanted in zip(sizes, (layer.height, layer.width), strict=True)):
        raise Refusal(f"it would resize images of {sizes}", "give it images of a fixed size that is not smaller")
    return network.moved(call, values)


@register_converter(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D)
def map_zero_padding(call, values, network):
    """Pad with silence; an offset is realised first, since the source pads with its zeros after it."""
    channels_last(call.operation)
    value = network.plain(values[0])
    if value.offset.any():
        value = network.unscaled(value)
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
