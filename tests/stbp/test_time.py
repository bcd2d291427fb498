import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.layer_harness import run_layer_test
from tests.tolerances import FLOAT64
from ttfs_keras import stbp
from ttfs_keras.stbp.time import fold_time, unfold_time


def images(shape=(3, 2, 6, 6, 2), seed=0):
    return np.random.default_rng(seed).normal(size=shape)


INNER = {
    "conv": lambda: layers.Conv2D(4, 3, 2, dtype="float64"),
    "pool": lambda: layers.MaxPooling2D(dtype="float64"),
    "flatten": lambda: layers.Flatten(dtype="float64"),
}


@pytest.mark.parametrize("inner", INNER)
def test_time_folded_is_a_keras_layer(inner, tmp_path):
    run_layer_test(lambda: stbp.TimeFolded(INNER[inner](), dtype="float64"), images(), tmp_path)


def test_repeat_steps_is_a_keras_layer(tmp_path):
    run_layer_test(lambda: stbp.RepeatSteps(3, dtype="float64"), images((3, 1, 4, 4, 2)), tmp_path)


@pytest.mark.parametrize("inner", INNER)
def test_folding_is_a_loop_over_time(inner):
    x, layer = images(), INNER[inner]()
    folded = stbp.TimeFolded(layer, dtype="float64")(x)
    looped = np.stack([layer(x[:, t]) for t in range(x.shape[1])], axis=1)
    np.testing.assert_allclose(folded, looped, rtol=0, atol=FLOAT64)
    np.testing.assert_allclose(layers.TimeDistributed(layer, dtype="float64")(x), looped, rtol=0, atol=FLOAT64)


def test_folding_and_unfolding_moves_nothing():
    x = tf.constant(images())
    np.testing.assert_array_equal(fold_time(x), x.numpy().reshape(6, 6, 6, 2))
    np.testing.assert_array_equal(unfold_time(fold_time(x), 2), x)


def test_images_of_any_size_pass():
    inputs = keras.Input((2, None, None, 1))
    norm = stbp.ThresholdDependentBatchNormalization(0.4)
    model = keras.Model(inputs, stbp.LIF()(norm(stbp.TimeFolded(layers.Conv2D(3, 3))(inputs))))
    for size in (5, 8):
        x = images((2, 2, size, size + 1, 1)).astype("float32")
        assert model(x, training=True).shape == (2, 2, size - 2, size - 1, 3)


@pytest.mark.parametrize("steps", [0, -1, 1.5, None, "2"])
def test_a_number_of_steps_must_be_whole_and_positive(steps):
    with pytest.raises(ValueError, match="whole number of time steps >= 1"):
        stbp.RepeatSteps(steps)


@pytest.mark.parametrize("layer", [stbp.TimeFolded(layers.Conv2D(3, 3)), stbp.RepeatSteps(2)])
def test_images_without_time_are_refused(layer):
    with pytest.raises(ValueError, match=r"expected \(batch, time, features\) or \(batch, time, height"):
        layer(keras.Input((28, 28, 1)))


def test_what_has_steps_already_is_not_repeated():
    with pytest.raises(ValueError, match="expected one time step"):
        stbp.RepeatSteps(2)(keras.Input((2, 5)))
