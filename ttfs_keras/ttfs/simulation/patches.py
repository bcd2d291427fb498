"""Which inputs each neuron of a convolution or a pool is wired to, by index arithmetic."""

import numpy as np


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


def patches(images, taps, rows):
    """Return the pixels wired to some output positions, `(rows, taps, channels)`.

    Args:
        images: `(batch, pixels + 1, channels)`, the last pixel standing for the padding.
        taps: `(positions, taps)` of `image_taps`.
        rows: indices into the `batch * positions` outputs.
    """
    sample, position = np.divmod(rows, len(taps))
    return images[sample[:, None], taps[position]]


def padded(images, time):
    """Return images `(batch, pixels, channels)` with one more pixel, that of the padding."""
    return np.pad(images, ((0, 0), (0, 1), (0, 0)), constant_values=time)
