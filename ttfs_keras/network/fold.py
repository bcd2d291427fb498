"""Folding scales and offsets into the weights of linear layers, in float64.

Source: Stanojevic et al., arXiv 2212.12522, section on batch normalization and input range; every layer type here.
"""

import numpy as np
from keras import layers

DENSE = (layers.Dense,)
CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
LINEAR = DENSE + CONVOLUTIONS + TRANSPOSED + DEPTHWISE + SEPARABLE


def weights_of(layer):
    """Return `{name: float64 array}` of a linear layer's kernels and its bias, zeros if it has none."""
    names = ("depthwise_kernel", "pointwise_kernel") if type(layer) in SEPARABLE else ("kernel",)
    weights = {name: np.array(getattr(layer, name), np.float64) for name in names}
    weights["bias"] = np.zeros(_channels(layer)) if layer.bias is None else np.array(layer.bias, np.float64)
    return weights


def _channels(layer):
    if type(layer) in DENSE:
        return layer.units
    return layer.kernel.shape[-1] * layer.kernel.shape[-2] if type(layer) in DEPTHWISE else layer.filters


def fold_output(layer, weights, scale, offset):
    """Return the weights of `scale * layer(x) + offset`, scale and offset `(channels,)`."""
    folded = dict(weights, bias=weights["bias"] * scale + offset)
    if type(layer) in SEPARABLE:
        folded["pointwise_kernel"] = weights["pointwise_kernel"] * scale
    elif type(layer) in DEPTHWISE:
        folded["kernel"] = weights["kernel"] * scale.reshape(weights["kernel"].shape[-2:])
    elif type(layer) in TRANSPOSED:
        folded["kernel"] = weights["kernel"] * scale[:, None]
    else:
        folded["kernel"] = weights["kernel"] * scale
    return folded


def fold_input(layer, weights, scale, offset):
    """Return the weights of `layer(scale * x + offset)`, or None where an offset meets padding or a sum of layers.

    Args:
        layer: the linear layer.
        weights: from `weights_of`.
        scale: `(channels,)`.
        offset: `(channels,)`.
    """
    if offset.any() and not (type(layer) in DENSE or (type(layer) in CONVOLUTIONS and layer.padding == "valid")):
        return None
    folded = dict(weights)
    if type(layer) in SEPARABLE:
        folded["depthwise_kernel"] = weights["depthwise_kernel"] * scale[:, None]
    elif type(layer) in DEPTHWISE:
        folded["kernel"] = weights["kernel"] * scale[:, None]
    elif type(layer) in TRANSPOSED:
        folded["kernel"] = weights["kernel"] * scale
    else:
        kernel = weights["kernel"]
        scales, offsets = (by_neuron(values, kernel.shape) for values in (scale, offset))
        folded["kernel"] = kernel * scales
        folded["bias"] = weights["bias"] + (kernel * offsets).sum(axis=tuple(range(kernel.ndim - 1)))
    return folded


def by_neuron(values, kernel_shape):
    """Return `(inputs of a group, neurons)`: what of `(channels,)` each neuron's own group of inputs carries."""
    per_group = kernel_shape[-2]
    groups = len(values) // per_group
    return np.repeat(values.reshape(groups, per_group).T, kernel_shape[-1] // groups, axis=1)
