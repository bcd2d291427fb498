import numpy as np
import pytest
import tensorflow as tf

from tests.bats.harness import assert_gradients_agree, differences_of, gradient_of, spike_trains
from tests.tolerances import FLOAT64
from ttfs_keras.bats.readout import count, decay_score, first_spike, is_silent

SHAPES = [(3, 4, 5), (2, 3, 2, 4, 2), (3, 4, 1), (0, 4, 2)]


@pytest.mark.parametrize("shape", SHAPES)
def test_values(shape):
    trains = spike_trains(shape)
    np.testing.assert_array_equal(count(trains), np.isfinite(trains).sum(-1))
    np.testing.assert_array_equal(first_spike(tf.constant(trains)), trains.min(-1))
    np.testing.assert_array_equal(is_silent(trains), np.isinf(trains).all(-1))
    np.testing.assert_allclose(decay_score(trains, 6.0), np.exp(-6 * trains).sum(-1), rtol=0, atol=FLOAT64)
    np.testing.assert_allclose(decay_score(trains, 6.0, exact=False), np.exp(-6 * trains).sum(-1), rtol=0, atol=FLOAT64)


def test_count_gradient_is_minus_one_for_every_spike():
    trains = spike_trains((3, 4, 5))
    upstream = np.random.default_rng(0).normal(size=(3, 4))
    expected = np.where(np.isfinite(trains), -upstream[..., None], 0)
    np.testing.assert_array_equal(gradient_of(count, trains, upstream), expected)
    inexact = gradient_of(lambda times: decay_score(times, 6.0, exact=False), trains, upstream)
    np.testing.assert_array_equal(inexact, expected)


def test_first_spike_gradient_goes_to_the_first_slot():
    trains = np.array([[[0.1, 0.1, np.inf], [np.inf] * 3, [0.2, 0.3, 0.4]]])
    # NaN for the silent one, as 0 * inf would give.
    gradient = gradient_of(first_spike, trains, np.array([[2.0, np.nan, 3.0]]))
    np.testing.assert_array_equal(gradient, [[[2, 0, 0], [0, 0, 0], [3, 0, 0]]])


def test_decay_gradient():
    trains = spike_trains((3, 4, 5))
    upstream = np.random.default_rng(0).normal(size=(3, 4))

    def score(times):
        return decay_score(times, 6.0)

    assert_gradients_agree(gradient_of(score, trains, upstream), differences_of(score, trains, upstream))


@pytest.mark.parametrize("function", [count, first_spike, lambda times: decay_score(times, 6.0)])
def test_nan_stays_nan_and_makes_gradients_nan(function):
    trains = tf.constant([[[np.nan, np.nan], [0.1, np.nan], [np.inf, np.nan], [0.1, np.inf]]], "float64")
    with tf.GradientTape() as tape:
        tape.watch(trains)
        values = function(trains)
        loss = tf.reduce_sum(tf.square(values), axis=(0, 1))
    np.testing.assert_array_equal(np.isnan(values), [[True, True, True, False]])
    gradient = np.isnan(tape.gradient(loss, trains))
    assert gradient[np.isnan(trains)].all() and not gradient[0, 3].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_is_kept(dtype):
    trains = tf.constant(spike_trains((3, 4, 2)), dtype)
    assert {f(trains).dtype.name for f in (count, first_spike, lambda t: decay_score(t, 6.0))} == {dtype}
