"""Pooling of spike trains: all spikes of a window stay."""

from typing import Any

import keras
import tensorflow as tf

from ttfs_keras import arguments
from ttfs_keras.bats.layer import SpikeTrainLayer
from ttfs_keras.bats.merging import sort_spikes

__all__ = ["SpikePooling2D"]


@keras.saving.register_keras_serializable(package="ttfs_keras")
class SpikePooling2D(SpikeTrainLayer):
    """Merge the trains of each window of a feature map into one ascending train; no spike is lost.

    Windows do not overlap. Rows and columns at the end that do not fill a window are dropped; their gradient is 0. The
    gradient of each spike goes back to where it came from. Source: Bacho & Chu, arXiv 2212.09500.

    Shapes: trains `(batch, height, width, channels, K)` in seconds to
    `(batch, height//p, width//q, channels, p*q*K)`.

    Args:
        pool_size: p = q, or (p, q), each >= 1.
        **kwargs: of `keras.layers.Layer`: `name` and `dtype`, which must be float32 or float64.

    Raises:
        ValueError: pool_size is something else, the input is no feature map of trains or smaller than a window, or
            dtype is a half-precision one.

    Example:
        >>> bats.SpikePooling2D(2)(np.zeros((1, 5, 4, 3, 1))).shape
        TensorShape([1, 2, 2, 3, 4])
    """

    def __init__(self, pool_size: int | tuple[int, int] = 2, **kwargs: Any):
        super().__init__(**kwargs)
        sizes = pool_size if isinstance(pool_size, list | tuple) else (pool_size, pool_size)
        valid = len(sizes) == 2 and all(map(arguments.count, sizes))
        arguments.require(
            "SpikePooling2D", (valid, "pool_size to be an int >= 1 or two of them", f"pool_size={pool_size!r}")
        )
        self.pool_size = tuple(map(int, sizes))

    def build(self, input_shape):
        self.check_rank(input_shape, "(batch, height, width, channels, K)")
        if any(size is not None and size < pool for size, pool in zip(input_shape[1:3], self.pool_size, strict=True)):
            raise ValueError(
                f"{self.name} expects height and width of at least {self.pool_size}. "
                f"Received: shape={tuple(input_shape)}"
            )

    def call(self, times):
        p, q = self.pool_size
        batch, height, width, channels, slots = keras.ops.shape(times)
        covered = times[:, : height // p * p, : width // q * q]
        windows = tf.reshape(covered, (batch, height // p, p, width // q, q, channels, slots))
        windows = tf.transpose(windows, (0, 1, 3, 5, 2, 4, 6))
        return sort_spikes(tf.reshape(windows, (batch, height // p, width // q, channels, p * q * slots)))

    def compute_output_shape(self, input_shape):
        p, q = self.pool_size
        batch, height, width, channels, slots = input_shape
        pooled = (None if height is None else height // p, None if width is None else width // q)
        return (batch, *pooled, channels, None if slots is None else p * q * slots)

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size}
