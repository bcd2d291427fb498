import keras
import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import TOLERANCE, error, images, outputs, randomize
from tests.tolerances import SIMULATOR


def frame_network():
    """A network of single frames, with a branch."""
    frame = keras.Input((6, 5, 2), dtype="float64")
    x = layers.Conv2D(3, 3, padding="same", dtype="float64")(frame)
    x = layers.ReLU(dtype="float64")(layers.BatchNormalization(dtype="float64")(x))
    x = layers.Add(dtype="float64")([x, layers.Conv2D(3, 1, activation="relu", dtype="float64")(x)])
    x = layers.Flatten(dtype="float64")(layers.MaxPooling2D(dtype="float64")(x))
    return keras.Model(frame, layers.Dense(4, activation="relu", dtype="float64")(x))


WITHIN = {
    "Dense": lambda: layers.Dense(3, activation="relu", dtype="float64"),
    "Conv2D": lambda: layers.Conv2D(3, 2, activation="relu", dtype="float64"),
    "SeparableConv2D": lambda: layers.SeparableConv2D(3, 2, dtype="float64"),
    "MaxPooling2D": lambda: layers.MaxPooling2D(2, dtype="float64"),
    "AveragePooling2D": lambda: layers.AveragePooling2D(2, 1, dtype="float64"),
    "GlobalMaxPooling2D": lambda: layers.GlobalMaxPooling2D(dtype="float64"),
    "Flatten": lambda: layers.Flatten(dtype="float64"),
    "ReLU": lambda: layers.ReLU(dtype="float64"),
    "BatchNormalization": lambda: layers.BatchNormalization(dtype="float64"),
    "UpSampling2D": lambda: layers.UpSampling2D(dtype="float64"),
    "a model": frame_network,
    "a Sequential": lambda: keras.Sequential(
        [keras.Input((6, 5, 2), dtype="float64"), layers.Conv2D(3, 2, activation="relu", dtype="float64"),
         layers.GlobalAveragePooling2D(dtype="float64")]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WITHIN)
def test_layers_for_every_step_are_exact(name):
    inputs = keras.Input((3, 6, 5, 2), dtype="float64")
    x = layers.TimeDistributed(WITHIN[name](), dtype="float64")(inputs)
    x = layers.Dense(4, activation="relu", dtype="float64")(layers.Flatten(dtype="float64")(x[:, 1:]))
    model = randomize(keras.Model(inputs, layers.Dense(2, dtype="float64")(x)))
    x = images(model, (-1, 2))
    snn = tk.convert(model, x, (-1, 2))
    assert error(model, snn, x) <= TOLERANCE["float64"]
    expected = outputs(model, x)
    assert np.abs(tk.simulate(snn, x).outputs - expected).max() <= SIMULATOR * max(1, np.abs(expected).max())
    assert tk.summary(snn, x).synaptic_operations > 0
