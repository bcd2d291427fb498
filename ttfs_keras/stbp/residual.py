"""Residual blocks of spiking neurons."""

from typing import Any

import keras
from keras import layers

from ttfs_keras.stbp.settings import Settings
from ttfs_keras.stbp.time import TimeFolded

LAST = "channels_last"  # whatever Keras's default is: sequences have their channels last


def convolution(x: Any, filters: int, size: int, strides: int, name: str, dtype: Any = None) -> Any:
    """Convolve every step, without bias, padded by (size - 1)/2 on all sides, drawn by He's rule with fan-out.

    Shapes: symbolic `(batch, time, height, width, channels)` to `(batch, time, height', width', filters)`.

    Args:
        x: symbolic tensor.
        filters: number of output channels.
        size: odd edge of the kernel.
        strides: of both axes.
        name: of the layer.
        dtype: of the layer.
    """
    if strides > 1 and size > 1:
        # "same" would pad even sizes on one side only.
        x = TimeFolded(layers.ZeroPadding2D(size // 2, LAST, dtype=dtype), name=f"{name}_pad", dtype=dtype)(x)
    kernel = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
    convolve = layers.Conv2D(
        filters, size, strides, padding="same" if strides == 1 else "valid", data_format=LAST, use_bias=False,
        kernel_initializer=kernel, dtype=dtype,
    )  # fmt: skip
    return TimeFolded(convolve, name=name, dtype=dtype)(x)


def residual_block(x: Any, filters: int, strides: int, name: str, settings: Settings) -> Any:
    """Two convolutions beside a shortcut, each branch with alpha where they join.

        conv3x3(strides) - tdBN(1) - LIF - conv3x3 - tdBN(alpha)  +  [conv1x1(strides)] - tdBN(alpha),  then LIF

    Source: Zheng et al., arXiv 2011.05280.

    Shapes: symbolic spikes `(batch, time, height, width, channels)` to `(batch, time, height', width', filters)`.

    Args:
        x: symbolic tensor.
        filters: number of output channels.
        strides: of the first convolution.
        name: prefix of the layers' names.
        settings: `Settings`.

    Example:
        >>> spikes = keras.Input((2, 8, 8, 4))
        >>> stbp.residual_block(spikes, 8, 2, "block", stbp.Settings()).shape
        (None, 2, 4, 4, 8)
    """
    dtype = settings.dtype
    y = convolution(x, filters, 3, strides, f"{name}_conv1", dtype)
    y = settings.neurons(f"{name}_lif1")(settings.norm(f"{name}_norm1")(y))
    y = convolution(y, filters, 3, 1, f"{name}_conv2", dtype)
    y = settings.norm(f"{name}_norm2", settings.alpha)(y)
    changed = strides > 1 or x.shape[-1] != filters
    if changed:
        x = convolution(x, filters, 1, strides, f"{name}_shortcut_conv", dtype)
    if changed or settings.normalize_identity:
        x = settings.norm(f"{name}_shortcut_norm", settings.alpha)(x)
    return settings.neurons(f"{name}_lif2")(layers.Add(name=f"{name}_join", dtype=dtype)([y, x]))
