"""Layers that pool, move or copy spikes, on absolute times."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.network.graph import Call
from ttfs_keras.ttfs.schedule import float64
from ttfs_keras.ttfs.simulation.wiring import image_taps


def relayed(call: Call, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Return the spike times, one array for each output, behind an operation that pools, moves or copies spikes."""
    operation: Any = call.operation
    if isinstance(operation, keras.layers.MaxPooling2D):
        return [_first_of_pool(operation, arrays[0])]
    if isinstance(operation, keras.layers.Permute):
        return [arrays[0].transpose(0, *operation.dims)]
    if isinstance(operation, (keras.layers.Flatten, keras.layers.Reshape)):
        return [arrays[0].reshape(operation.compute_output_shape(arrays[0].shape))]
    # Pools of other ranks, padding, cropping, repeating, concatenating: on -t the earliest spike is the largest value,
    # and a shift makes silence the 0 that padding adds.
    late = 1 + max((array[np.isfinite(array)].max(initial=0.0) for array in arrays), default=0.0)
    leads = [tf.constant(np.where(np.isinf(array), 0.0, late - array)) for array in arrays]
    found = call.in_float64()(dict(zip(call.inputs, leads, strict=True)))
    return [np.where(lead > 0, late - lead, np.inf) for lead in map(float64, found)]


def _first_of_pool(layer, times):
    """Return the earliest spike of each pool, or where the channel's sign is -1 the latest, inf if one is silent."""
    batch, height, width, channels = times.shape
    sign = float64(layer.sign) if getattr(layer, "signed", False) else 1.0
    taps, image_shape = image_taps((height, width), layer.pool_size, layer.strides, (1, 1), layer.padding)
    # Padding is not part of a pool: it comes after everything, silence of a reversed channel included.
    images = (sign * times).reshape(batch, height * width, channels)
    images = np.pad(images, ((0, 0), (0, 1), (0, 0)), constant_values=np.inf)
    return (sign * images[:, taps].min(axis=2)).reshape(batch, *image_shape, channels)
