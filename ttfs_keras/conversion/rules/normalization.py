"""Rules for affine maps of each channel: batch norm with its inference statistics, Rescaling, Normalization."""

import keras
import numpy as np
from keras import layers

from ttfs_keras.conversion.registry import Refusal, register_converter


@register_converter(layers.BatchNormalization)
def map_batch_norm(call, values, network):
    """Scale by k = gamma/sqrt(var + eps), shift by beta - k mean."""
    layer = call.operation
    mean, variance = (np.asarray(v, np.float64) for v in (layer.moving_mean, layer.moving_variance))
    gamma = np.ones_like(mean) if layer.gamma is None else np.asarray(layer.gamma, np.float64)
    beta = np.zeros_like(mean) if layer.beta is None else np.asarray(layer.beta, np.float64)
    scale = gamma / np.sqrt(variance + layer.epsilon)
    behind = len(call.shape) - 1 - layer.axis % len(call.shape)  # axes behind the normalized one
    scale, offset = (part.reshape(-1, *[1] * behind) for part in (scale, beta - scale * mean))
    return network.affine(values[0], scale, offset)


@register_converter(layers.Rescaling)
def map_rescaling(call, values, network):
    """Scale and shift."""
    layer = call.operation
    # Python numbers become float32 on the way, whatever the dtype.
    scale, offset = (
        np.asarray(keras.ops.cast(v, layer.compute_dtype), np.float64) for v in (layer.scale, layer.offset)
    )
    return network.affine(values[0], scale, offset)


@register_converter(layers.Normalization)
def map_normalization(call, values, network):
    """Scale by 1/std and shift by -mean/std, or the inverse of that."""
    layer = call.operation
    axes = layer.axis if isinstance(layer.axis, tuple | list) else (layer.axis,)
    if tuple(axes) not in ((-1,), (len(call.shape) - 1,), ()) and layer.axis is not None:
        raise Refusal(f"it normalizes axis {layer.axis}", "normalize the channels, axis=-1")
    mean = np.asarray(layer.mean, np.float64).reshape(-1)
    deviation = np.maximum(np.sqrt(np.asarray(layer.variance, np.float64).reshape(-1)), 1e-7)  # Keras's epsilon
    if layer.invert:
        return network.affine(values[0], deviation, mean)
    return network.affine(values[0], 1 / deviation, -mean / deviation)
