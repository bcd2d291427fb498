"""Fixed scale and trained offset of values: a batch norm that no weights could take up."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="ttfs_keras")
class Affine(keras.layers.Layer):
    """Compute k x + c; in a spiking network the synapses' common factor and a constant current.

    Shapes: `(batch, ..., channels)` to the same.

    Args:
        affine_shape: shape of k and c, which broadcasts to that of one sample; None for `(channels,)`.

    Example:
        >>> tk.ttfs.Affine()(np.array([[1.0, 2.0]])).numpy().tolist()
        [[1.0, 2.0]]
    """

    def __init__(self, affine_shape: tuple[int, ...] | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.affine_shape = None if affine_shape is None else tuple(affine_shape)

    def build(self, input_shape):
        shape = input_shape[-1:] if self.affine_shape is None else self.affine_shape
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones", trainable=False)
        self.offset = self.add_weight(name="offset", shape=shape, initializer="zeros")

    def call(self, values):
        return values * self.scale + self.offset

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "affine_shape": self.affine_shape}
