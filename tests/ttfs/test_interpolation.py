import numpy as np
import pytest
from keras import layers

from tests.tolerances import FLOAT32
from ttfs_keras.ttfs.interpolation import Interpolation, separated

RESIZES = {
    "up": layers.UpSampling2D(2, interpolation="bilinear"),
    "bicubic": layers.Resizing(7, 3, interpolation="bicubic"),
    "lanczos": layers.UpSampling2D((3, 2), interpolation="lanczos5"),
    "cropped": layers.Resizing(6, 6, crop_to_aspect_ratio=True),
    "padded": layers.Resizing(6, 6, pad_to_aspect_ratio=True),
}


@pytest.mark.parametrize("name", RESIZES)
def test_fixed_weights_do_what_keras_does(name):
    images = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
    expected = RESIZES[name](images).numpy()
    layer = Interpolation(expected.shape[1:3], dtype="float64")
    assert layer.compute_output_shape(images.shape) == layer(images).shape == expected.shape
    rows, columns = separated(RESIZES[name], 4, 5)
    layer.rows.assign(rows)
    layer.columns.assign(columns)
    np.testing.assert_allclose(layer(images), expected, atol=FLOAT32)
