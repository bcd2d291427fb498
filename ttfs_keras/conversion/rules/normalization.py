"""Rules for affine maps of each channel: batch norm with its inference statistics, Rescaling, Normalization."""

import keras
import numpy as np
from keras import layers

from ttfs_keras.conversion.registry import Refusal, register_converter
from ttfs_keras.conversion.values import Deferred, Emitted, affine


@register_converter(layers.BatchNormalization)
def map_batch_norm(call, values, network):
    """Scale by k = gamma/sqrt(var + eps), shift by beta - k mean."""
    layer = call.operation
    if layer.axis not in (-1, len(call.shape) - 1):
        raise Refusal(f"it normalizes axis {layer.axis}", "normalize the channels, axis=-1")
    mean, variance = (np.asarray(v, np.float64) for v in (layer.moving_mean, layer.moving_variance))
    gamma = np.ones_like(mean) if layer.gamma is None else np.asarray(layer.gamma, np.float64)
    beta = np.zeros_like(mean) if layer.beta is None else np.asarray(layer.beta, np.float64)
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return affine(values[0], scale, beta - scale * mean)


@register_converter(layers.Rescaling)
def map_rescaling(call, values, network):
    """Scale and shift."""
    layer = call.operation
    # Python numbers become float32 on the way, whatever the dtype.
    scale, offset = (
        np.asarray(keras.ops.cast(v, layer.compute_dtype), np.float64) for v in (layer.scale, layer.offset)
    )
    (value,) = values
    if isinstance(value, Deferred) and max(scale.ndim, offset.ndim) > 1:
        # It differs between positions, which no weights can take up.
        value = Emitted(value.shape, tensor=network.realise(value))
    return affine(value, scale, offset)


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
        return affine(values[0], deviation, mean)
    return affine(values[0], 1 / deviation, -mean / deviation)
