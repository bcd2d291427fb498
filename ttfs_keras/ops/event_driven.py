"""Dense layers and 2-D convolutions that read only the weights of neurons that spiked; the compiled library alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ttfs_keras.errors import OpLibraryError
from ttfs_keras.ops.library import library

DENSE_UNITS = 16  # units of a dense layer are padded to a multiple of this
BLOCKS = (16, 32)  # filters of a block of packed weights
POINTWISE_BLOCKS = (*BLOCKS, 64)  # of a 1 x 1 kernel


def required_library() -> Any:
    """Return the module of raw ops.

    Raises:
        OpLibraryError: it was not built, or the environment asks for the plain-TensorFlow reference, or it cannot be
            used.
    """
    raw = library()
    if raw is None:
        raise OpLibraryError(
            "event-driven inference: expected the compiled op library. Received: none, it was not built or "
            "TTFS_KERAS_REFERENCE is set. Install a C++ compiler (g++), reinstall ttfs_keras and unset the variable"
        )
    return raw


def pack_dense(kernel: np.ndarray) -> np.ndarray:
    """Return a kernel `(inputs, units)` as `dense` takes it: padded with 0 to whole groups of units."""
    return np.pad(kernel, [(0, 0), (0, -kernel.shape[1] % DENSE_UNITS)])


def packed_dense_shape(inputs: int, units: int) -> tuple[int, int]:
    """Return the shape of `pack_dense`."""
    return inputs, units + -units % DENSE_UNITS


def pack_conv2d(kernel: np.ndarray, groups: int = 1) -> np.ndarray:
    """Return a kernel `(height, width, channels of a group, filters)` as `conv2d` takes it.

    Args:
        kernel: as `keras.layers.Conv2D` has it.
        groups: of channels and filters; one filter a channel is a depthwise convolution.

    Returns:
        `(groups x blocks, channels of a group, height, width, filters of a block)`, or `(height, width, channels)` of a
        depthwise convolution.
    """
    height, width, channels, filters = kernel.shape
    shape = packed_conv2d_shape(kernel.shape, groups)
    if len(shape) == 3:
        return kernel.reshape(shape)
    block, own = shape[-1], filters // groups
    split = kernel.reshape(height, width, channels, groups, own)
    blocks = np.pad(split, [(0, 0)] * 4 + [(0, -own % block)]).reshape(height, width, channels, -1, block)
    return np.ascontiguousarray(blocks.transpose(3, 2, 0, 1, 4))


def packed_conv2d_shape(kernel_shape: Sequence[int], groups: int = 1) -> tuple[int, ...]:
    """Return the shape of `pack_conv2d`."""
    height, width, channels, filters = kernel_shape
    if channels == 1 and groups == filters > 1:
        return height, width, filters
    own = filters // groups
    sizes = POINTWISE_BLOCKS if height == width == 1 else BLOCKS
    block = min(reversed(sizes), key=lambda size: own + -own % size)  # the least padding, then the largest block
    return groups * -(-own // block), channels, height, width, block


def dense(lead: Any, weights: Any, bias: Any, window: Any = None) -> tuple[Any, Any]:
    """Apply a dense layer to lead times.

        x = min(max(z, 0), X),  z = sum over spikes j of w_ij x_j + b_i;  z itself without a window

    All tensors share a dtype, float32 or float64. Only inputs that are not 0 are read on; NaN and infinity are not.
    Not differentiable.

    Args:
        lead: lead times `(batch, inputs)`.
        weights: from `pack_dense`.
        bias: `(units,)`.
        window: scalar X > 0, or None.

    Returns:
        (output `(batch, units)`, int64 scalar: weights that were applied, `inputs that are not 0` x units).

    Raises:
        OpLibraryError: see `required_library`.
        tf.errors.InvalidArgumentError: shapes do not fit, or the window is not positive.
    """
    raw = required_library()
    fires, window = window is not None, tf.cast(0 if window is None else window, lead.dtype)
    return tuple(raw.ttfs_keras_event_driven_dense(lead, weights, bias, window, fires=fires))


def conv2d(
    lead: Any,
    weights: Any,
    bias: Any,
    window: Any = None,
    *,
    kernel_size: Sequence[int],
    strides: Sequence[int] = (1, 1),
    dilations: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0, 0, 0),
    groups: int = 1,
) -> tuple[Any, Any]:
    """Convolve lead times; the potential of a neuron and what it emits are those of `dense`.

    Args:
        lead: lead times `(batch, height, width, channels)`.
        weights: from `pack_conv2d`.
        bias: `(filters,)` or a map `(out_height, out_width, filters)`.
        window: scalar X > 0, or None.
        kernel_size, strides, dilations: (height, width).
        padding: zeros around the image, (top, bottom, left, right).
        groups: of channels and filters.

    Returns:
        (output `(batch, out_height, out_width, filters)`, int64 scalar: weights that were applied, one for each spike
        and output that it reaches).

    Raises:
        OpLibraryError: see `required_library`.
        tf.errors.InvalidArgumentError: shapes do not fit, or the window is not positive.
    """
    raw = required_library()
    fires, window = window is not None, tf.cast(0 if window is None else window, lead.dtype)
    return tuple(
        raw.ttfs_keras_event_driven_conv2d(
            lead, weights, bias, window, fires=fires, kernel_size=list(kernel_size), strides=list(strides),
            dilations=list(dilations), padding=list(padding), groups=groups,
        )
    )  # fmt: skip
