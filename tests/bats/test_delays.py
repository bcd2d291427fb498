import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.bats.harness import gradient_of, run_train_layer_test, spike_trains
from tests.tolerances import FLOAT64, GRADIENT
from ttfs_keras.bats.delays import AxonalDelay

VARIANTS = {
    "default": {},
    "limited": {"initializer": keras.initializers.RandomUniform(0, 0.1, seed=1), "max_delay": 0.04},
    "fixed": {"initializer": keras.initializers.Constant(0.1), "trainable": False},
}


def built(shape, delay=None, **arguments):
    layer = AxonalDelay(dtype="float64", **arguments)
    layer.build(shape)
    if delay is not None:
        layer.delay.assign(delay)
    return layer


@pytest.mark.parametrize(
    ("variant", "shape"), [("default", (3, 2, 3, 4, 2)), ("limited", (3, 4, 2)), ("fixed", (3, 4, 2))]
)
def test_is_a_well_behaved_layer(variant, shape, tmp_path):
    run_train_layer_test(
        lambda: AxonalDelay(dtype="float64", **VARIANTS[variant]), spike_trains(shape, silent=0), tmp_path
    )


def test_every_neuron_has_its_delay_and_silence_stays():
    trains = spike_trains((3, 2, 4, 2))
    delay = np.random.default_rng(0).uniform(0, 1, (2, 4))
    np.testing.assert_allclose(built(trains.shape, delay)(trains), trains + delay[..., None], rtol=0, atol=FLOAT64)


def test_gradients():
    trains = spike_trains((3, 4, 3))
    layer = built(trains.shape, np.full(4, 0.1))
    upstream = np.random.default_rng(0).normal(size=trains.shape)
    fires = np.isfinite(trains)
    # What comes for an empty slot, NaN or not, goes nowhere.
    np.testing.assert_array_equal(
        gradient_of(layer, trains, np.where(fires, upstream, np.nan)), np.where(fires, upstream, 0)
    )
    for upstream_of_empty in (0, np.nan):
        with tf.GradientTape() as tape:
            times = layer(trains)
        gradient = tape.gradient(
            times, layer.delay.value, output_gradients=tf.constant(np.where(fires, upstream, upstream_of_empty))
        )
        np.testing.assert_allclose(gradient, np.where(fires, upstream, 0).sum((0, 2)), rtol=GRADIENT)


def test_training_stays_in_range_and_leaves_its_ends():
    trains = np.full((1, 3, 1), 0.1)
    layer = built(trains.shape, [0.0, 0.05, 0.2], max_delay=0.2)
    optimizer = keras.optimizers.SGD(1.0)
    for slope, expected in (([1.0, 1, -1], [0, 0, 0.2]), ([-0.1, -0.3, 0.15], [0.1, 0.2, 0.05])):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(trains)[..., 0] * slope)
        optimizer.apply(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables)
        np.testing.assert_allclose(layer.delay, expected, rtol=0, atol=FLOAT64)


def test_initial_and_assigned_delays_are_never_negative():
    layer = built((None, 100, 1), initializer=keras.initializers.RandomNormal(seed=0), max_delay=0.05)
    assert layer.delay.numpy().min() == 0 and 0 < layer.delay.numpy().max() <= 0.05
    layer.delay.assign(np.linspace(-1, 1, 100))
    times = layer(np.zeros((1, 100, 1))).numpy()
    assert times.min() == 0 and times.max() == 0.05


def test_it_trains_with_keras():
    inputs = keras.Input((2, 1), dtype="float64")
    layer = AxonalDelay(dtype="float64")
    model = keras.Model(inputs, layer(inputs))
    model.compile(keras.optimizers.SGD(0.5), "mse")
    model.fit(np.full((4, 2, 1), 0.1), np.tile([[[0.3], [0.6]]], (4, 1, 1)), epochs=40, verbose=0)
    np.testing.assert_allclose(layer.delay, [0.2, 0.5], atol=1e-3)


@pytest.mark.parametrize("max_delay", [0, -1, float("nan"), float("inf"), "1"])
def test_a_bad_limit_is_refused(max_delay):
    with pytest.raises(ValueError, match=r"expected max_delay > 0 or None\. Received: max_delay="):
        AxonalDelay(max_delay=max_delay)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="expects spike trains"):
        AxonalDelay().build((None, 3))
    with pytest.raises(ValueError, match="a known number of neurons"):
        AxonalDelay().build((None, None, 3))
