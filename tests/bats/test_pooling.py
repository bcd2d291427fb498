import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bats.harness import (
    assert_gradients_agree,
    differences_of,
    gradient_of,
    run_train_layer_test,
    spike_trains,
)
from tests.tolerances import FLOAT64
from ttfs_keras.bats.pooling import SpikePooling2D

VARIANTS = {"default": {}, "pair": {"pool_size": (3, 1)}}


def pooled(times, p, q):
    """Window by window."""
    batch, height, width, channels, slots = times.shape
    result = np.empty((batch, height // p, width // q, channels, p * q * slots))
    for y in range(height // p):
        for x in range(width // q):
            window = np.moveaxis(times[:, y * p : y * p + p, x * q : x * q + q], 3, 1)
            result[:, y, x] = np.sort(window.reshape(batch, channels, -1))
    return result


@pytest.mark.parametrize("variant", VARIANTS)
def test_is_a_well_behaved_layer(variant, tmp_path):
    trains = spike_trains((3, 5, 4, 2, 3))
    run_train_layer_test(lambda: SpikePooling2D(dtype="float64", **VARIANTS[variant]), trains, tmp_path)


@settings(deadline=None, max_examples=30)
@given(
    size=st.tuples(st.integers(3, 7), st.integers(3, 7)),
    pool=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    slots=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_every_spike_of_a_window_stays_and_borders_are_dropped(size, pool, slots, seed):
    trains = spike_trains((2, *size, 3, slots), seed)
    np.testing.assert_array_equal(SpikePooling2D(pool, dtype="float64")(trains), pooled(trains, *pool))


def test_gradients_go_back_to_where_the_spikes_came_from():
    trains = spike_trains((2, 5, 3, 2, 3), seed=1)
    layer = SpikePooling2D(2, dtype="float64")
    upstream = np.random.default_rng(0).normal(size=layer.compute_output_shape(trains.shape))
    gradient = gradient_of(layer, trains, upstream)
    assert_gradients_agree(gradient, differences_of(layer, trains, upstream, step=1e-7))
    assert not gradient[:, 4].any() and not gradient[:, :, 2].any(), "uncovered borders"
    assert not gradient[np.isinf(trains)].any(), "empty slots"


def test_equal_times_each_have_a_gradient_of_their_own():
    trains = np.full((1, 2, 2, 1, 1), 0.1)
    gradient = gradient_of(SpikePooling2D(dtype="float64"), trains, np.arange(1.0, 5).reshape(1, 1, 1, 1, 4))
    np.testing.assert_array_equal(gradient.ravel(), [1, 2, 3, 4])


def test_a_window_with_nan_is_nan_and_so_are_gradients_that_come_back_as_nan():
    trains = np.stack([[[0.2, np.nan], [np.inf, 0.1]], [[0.2, np.inf], [np.inf, 0.1]]]).reshape(2, 2, 2, 1, 1)
    layer, tensor = SpikePooling2D(dtype="float64"), tf.constant(trains)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        pooled_trains = layer(tensor)
        loss = tf.reduce_sum(tf.square(tf.where(tf.math.is_inf(pooled_trains), 0.0, pooled_trains)))
    np.testing.assert_array_equal(pooled_trains[:, 0, 0, 0], [[np.nan] * 4, [0.1, 0.2, np.inf, np.inf]])
    gradient = tape.gradient(loss, tensor).numpy().reshape(2, 4)
    assert np.isnan(gradient[0, 1])
    np.testing.assert_allclose(gradient[1], [0.4, 0, 0, 0.2], rtol=0, atol=FLOAT64)


def test_sizes_may_be_unknown():
    layer = SpikePooling2D(dtype="float64")
    assert layer.compute_output_shape((None, None, None, 3, 2)) == (None, None, None, 3, 8)
    trains = spike_trains((2, 5, 4, 3, 2))
    call = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 3, 2), "float64")])
    np.testing.assert_array_equal(call(trains), pooled(trains, 2, 2))


@pytest.mark.parametrize("pool_size", [0, -1, 1.5, True, (2,), (2, 0), "2", None])
def test_a_bad_pool_size_is_refused(pool_size):
    with pytest.raises(ValueError, match=r"expected pool_size to be an int >= 1 or two of them\. Received: pool_size="):
        SpikePooling2D(pool_size)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"expects spike trains \(batch, height, width, channels, K\).*\(2, 4, 3\)"):
        SpikePooling2D()(spike_trains((2, 4, 3)))
    with pytest.raises(ValueError, match=r"height and width of at least \(3, 3\). Received: shape=\(2, 4, 2, 1, 1\)"):
        SpikePooling2D(3)(spike_trains((2, 4, 2, 1, 1)))
