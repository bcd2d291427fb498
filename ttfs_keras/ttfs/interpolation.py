"""Interpolation of images as synapses with fixed weights."""

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="ttfs_keras")
class Interpolation(keras.layers.Layer):
    """Sum pixels with fixed weights, first along the columns of an image, then along its rows.

        y = R x C^T        for each channel

    Shapes: `(batch, height, width, channels)` to `(batch, new height, new width, channels)`.

    Args:
        size: (new height, new width). The non-trainable weights `rows` R, `(new height, height)`, and `columns` C,
            `(new width, width)`, are 0 at first.

    Example:
        >>> layer = tk.ttfs.Interpolation((4, 4))
        >>> layer(np.ones((1, 2, 2, 3))).shape
        TensorShape([1, 4, 4, 3])
    """

    def __init__(self, size: tuple[int, int], **kwargs: Any):
        super().__init__(**kwargs)
        self.size = tuple(size)

    def build(self, input_shape):
        for name, new, old in zip(("rows", "columns"), self.size, input_shape[1:3], strict=True):
            setattr(self, name, self.add_weight(name=name, shape=(new, old), initializer="zeros", trainable=False))

    def call(self, images):
        return ops.einsum("rh,cw,bhwk->brck", self.rows, self.columns, images)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.size, input_shape[3])

    def get_config(self):
        return {**super().get_config(), "size": self.size}


def separated(resize: Any, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return R and C, float64, of a function that resizes `(batch, height, width, 1)`.

    Each is read where the other one's weights have the largest sum: 1, but where the function pads.
    """
    # found[i, r, c] = R[r, i] sum_j C[c, j], and the other way round.
    lines = np.broadcast_to(np.eye(height)[:, :, None], (height, height, width))
    found = np.asarray(resize(lines[..., None]), np.float64)[..., 0]
    rows = found[:, :, int(np.abs(found.sum(axis=(0, 1))).argmax())].T
    lines = np.broadcast_to(np.eye(width)[:, None, :], (width, height, width))
    found = np.asarray(resize(lines[..., None]), np.float64)[..., 0]
    return rows, found[:, int(np.abs(found.sum(axis=(0, 2))).argmax())].T
