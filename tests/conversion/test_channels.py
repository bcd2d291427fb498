import keras
import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import TOLERANCE, error, images, randomize

FIRST = {"data_format": "channels_first"}
# TensorFlow convolves with channels first in float32 only, on a CPU; and Keras (3.15) adds a bias along the width where
# that is as large as the number of channels, so here it never is.
BODIES = {
    "Conv2D": lambda x: layers.Conv2D(3, 3, padding="same", activation="relu", name="fires", **FIRST)(x),
    "norm": lambda x: layers.ReLU(name="fires")(
        layers.BatchNormalization(axis=1)(layers.Conv2D(4, 2, strides=2, **FIRST)(x))
    ),
    "DepthwiseConv2D": lambda x: layers.DepthwiseConv2D(3, activation="relu6", name="fires", **FIRST)(x),
    "SeparableConv2D": lambda x: layers.SeparableConv2D(3, 3, activation="relu", name="fires", **FIRST)(x),
    "MaxPooling2D": lambda x: layers.MaxPooling2D(2, **FIRST)(layers.ReLU(name="fires")(x)),
    "AveragePooling2D": lambda x: layers.AveragePooling2D(2, **FIRST)(layers.ReLU(name="fires")(x)),
    "UpSampling2D": lambda x: layers.UpSampling2D(2, **FIRST)(layers.ReLU(name="fires")(x)),
    "ZeroPadding2D": lambda x: layers.ZeroPadding2D(1, **FIRST)(layers.ReLU(name="fires")(x)),
}
HEADS = {
    "flat": layers.Flatten(**FIRST),
    "pooled": layers.GlobalAveragePooling2D(**FIRST),
    "largest": layers.GlobalMaxPooling2D(keepdims=True, **FIRST),
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("body", BODIES)
def test_networks_whose_channels_come_first_are_exact(body, head):
    inputs = keras.Input((3, 6, 6))
    x = layers.Flatten()(HEADS[head](BODIES[body](layers.BatchNormalization(axis=1)(inputs))))
    model = randomize(keras.Model(inputs, layers.Dense(2)(x)))
    x = images(model, (-1, 2)).astype("float32")
    snn = tk.convert(model, x, (-1, 2))
    assert error(model, snn, x) <= TOLERANCE["float32"]
    (row,) = [row for row in tk.verify(snn, model, x).layers if row.name == "fires"]
    assert row.max_abs_error <= TOLERANCE["float32"], "compared in the source's own layout"
    expected = np.asarray(model(x))
    assert np.abs(tk.simulate(snn, x, armed=True).outputs - expected).max() <= TOLERANCE["float32"] * max(
        1, np.abs(expected).max()
    )
