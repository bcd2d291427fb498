"""Which spikes reach each neuron of a layer with synapses of its own, and through which weights."""

import dataclasses

import numpy as np

from ttfs_keras.ttfs.conv2d import TTFSConv2D


@dataclasses.dataclass(frozen=True)
class Wiring:
    """The synapses of a population, whose neurons at one position share their inputs.

    Attributes:
        taps: `(positions, synapses)` indices into a sample's flat inputs, their number where there is none.
        weights: `(kinds, synapses, neurons)`.
        kind: `(positions,)`, the weights of each position.
    """

    taps: np.ndarray
    weights: np.ndarray
    kind: np.ndarray


def axis_taps(size, kernel, stride=1, dilation=1, padding="valid"):
    """Return the input positions of every output position along one axis, `(outputs, kernel)`.

    Positions outside [0, size) lie in the padding. TensorFlow's convention:

        "same":   outputs = ceil(n/s),  before = max((outputs - 1) s + (k - 1) d + 1 - n, 0) // 2
        "valid":  outputs = ceil((n - (k - 1) d)/s),  before = 0
    """
    reach = (kernel - 1) * dilation + 1
    if padding == "same":
        outputs = -(-size // stride)
        before = max((outputs - 1) * stride + reach - size, 0) // 2
    else:
        outputs = -(-(size - reach + 1) // stride)
        before = 0
    return np.arange(outputs)[:, None] * stride - before + np.arange(kernel) * dilation


def image_taps(image_shape, kernel, strides=(1, 1), dilation=(1, 1), padding="valid"):
    """Return the pixels in every patch of an image, and the shape of the new image.

    Args:
        image_shape: (height, width).
        kernel, strides, dilation, padding: of the convolution or pool, rows before columns.

    Returns:
        `(new height * new width, kernel height * kernel width)` indices into the image's pixels, row by row, with
        `height * width` for a pixel of the padding; and (new height, new width).
    """
    rows, columns = (axis_taps(*axis, padding) for axis in zip(image_shape, kernel, strides, dilation, strict=True))
    height, width = image_shape
    row, column = rows[:, None, :, None], columns[None, :, None, :]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    pixels = np.where(inside, row * width + column, height * width)
    return pixels.reshape(len(rows) * len(columns), -1), (len(rows), len(columns))


def wiring_of(layer, shape, weights):
    """Return the wiring of a dense or convolutional layer, and the shape of its potentials.

    Args:
        layer: with weights of its own; the groups of a convolution count as positions.
        shape: `(batch, ..., inputs)` of its inputs.
        weights: physical ones, `(..., inputs, neurons)`.
    """
    batch, *places, inputs = shape
    if not isinstance(layer, TTFSConv2D):
        taps = np.arange(np.prod(shape[1:])).reshape(-1, inputs)
        return Wiring(taps, weights[None], np.zeros(len(taps), int)), (*shape[:-1], weights.shape[-1])
    groups = layer.groups
    pixels, places = image_taps(places, layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)
    channels = np.arange(inputs).reshape(groups, 1, -1)
    taps = pixels[:, None, :, None] * inputs + channels
    taps = np.minimum(taps, np.prod(shape[1:])).reshape(len(pixels) * groups, -1)
    by_group = weights.reshape(taps.shape[1], groups, -1).swapaxes(0, 1)
    return Wiring(taps, by_group, np.arange(len(taps)) % groups), (batch, *places, layer.filters)
