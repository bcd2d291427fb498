"""Rule for batch normalization with its inference statistics: an affine map, folded backward or forward."""

import dataclasses

import numpy as np
from keras import layers

from ttfs_keras.conversion.registry import Refusal, register_converter
from ttfs_keras.conversion.values import Potential, Spikes


def affine(layer):
    """Return k = gamma/sqrt(var + eps) and c = beta - k mean, `(channels,)` float64."""
    mean, variance = (np.asarray(v, np.float64) for v in (layer.moving_mean, layer.moving_variance))
    gamma = 1.0 if layer.gamma is None else np.asarray(layer.gamma, np.float64)
    beta = 0.0 if layer.beta is None else np.asarray(layer.beta, np.float64)
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return scale, beta - scale * mean


@register_converter(layers.BatchNormalization)
def map_batch_norm(layer, value, network):
    """Before ReLU: into the layer before it. After ReLU: into the scale and offset that the next layer folds."""
    if layer.axis not in (-1, len(layer.input.shape) - 1):
        raise Refusal(f"it normalizes axis {layer.axis}", "normalize the channels, axis=-1")
    scale, offset = affine(layer)
    if isinstance(value, Potential):
        return dataclasses.replace(value, kernel=value.kernel * scale, bias=value.bias * scale + offset)
    if isinstance(value, Spikes):
        return dataclasses.replace(value, scale=value.scale * scale, offset=value.offset * scale + offset)
    raise Refusal("it stands behind the read-out", "move it before the last Dense layer")
