"""Fully connected network, 784-340-10 in the paper."""

import keras
from keras import layers


def fc2(image_shape, classes, units=340, depth=2, batch_norm=False, dtype="float32"):
    """Build `depth` dense layers, the last one the logits.

    Shapes: images `(batch, height, width, channels)` to logits `(batch, classes)`.

    Args:
        image_shape: (height, width, channels).
        classes: number of logits.
        units: neurons of each hidden layer.
        depth: number of layers with weights, >= 1.
        batch_norm: whether batch norm follows each ReLU.
        dtype: of weights and activations.
    """
    inputs = keras.Input(image_shape, dtype=dtype, name="image")
    x = layers.Flatten(name="flatten", dtype=dtype)(inputs)
    for n in range(1, depth):
        x = layers.Dense(units, activation="relu", name=f"dense_{n}", dtype=dtype)(x)
        if batch_norm:
            x = layers.BatchNormalization(name=f"norm_{n}", dtype=dtype)(x)
    return keras.Model(inputs, layers.Dense(classes, name="readout", dtype=dtype)(x), name="fc2")
