"""Fully connected network, 784-340-10 in the paper."""

import keras
from keras import layers


def fc2(
    image_shape: tuple[int, int, int],
    classes: int,
    units: int = 340,
    depth: int = 2,
    batch_norm: bool = False,
    dtype: str = "float32",
) -> keras.Model:
    """Build `depth` dense layers, the last one the logits.

    Shapes: images `(batch, height, width, channels)` to logits `(batch, classes)`.

    Args:
        image_shape: (height, width, channels).
        classes: number of logits.
        units: neurons of each hidden layer.
        depth: number of layers with weights, >= 1.
        batch_norm: whether batch norm follows each ReLU.
        dtype: of weights and activations.

    Example:
        >>> from ttfs_keras.models.fc2 import fc2
        >>> fc2((28, 28, 1), 10).count_params()  # 784-340-10
        270310
    """
    inputs = keras.Input(image_shape, dtype=dtype, name="image")
    x = layers.Flatten(name="flatten", dtype=dtype)(inputs)
    for n in range(1, depth):
        x = layers.Dense(units, activation="relu", name=f"dense_{n}", dtype=dtype)(x)
        if batch_norm:
            x = layers.BatchNormalization(name=f"norm_{n}", dtype=dtype)(x)
    return keras.Model(inputs, layers.Dense(classes, name="readout", dtype=dtype)(x), name="fc2")
