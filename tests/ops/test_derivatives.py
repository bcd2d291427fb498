import pytest
import tensorflow as tf

from tests.bats.problems import CASES
from tests.ops.harness import PEAK_ARGUMENTS
from ttfs_keras.ops import bats

FIRST_ONLY = pytest.raises(NotImplementedError, match="first derivatives only")


@pytest.mark.parametrize("in_a_graph", [False, True])
@pytest.mark.parametrize("name", ["times", "kernel", "threshold", "delta_threshold", "tau_s"])
def test_a_second_derivative_is_refused(ops, name, in_a_graph):
    problem = CASES["dense"]
    tensors = problem.tensors("float64")

    def penalty():
        with tf.GradientTape() as outer:
            outer.watch(tensors)
            with tf.GradientTape() as inner:
                inner.watch(tensors)
                spikes, _, _ = ops.spikes(**tensors, max_spikes=problem.max_spikes)
                total = tf.reduce_sum(tf.where(tf.math.is_finite(spikes), spikes, 0))
            squares = tf.reduce_sum(inner.gradient(total, tensors[name]) ** 2)
        return outer.gradient(squares, tensors["kernel"])

    with FIRST_ONLY:
        (tf.function(penalty) if in_a_graph else penalty)()


@pytest.mark.skipif(bats.library() is None, reason="the op library was not built")
def test_a_second_derivative_of_peaks_is_refused():
    tensors = CASES["dense"].tensors("float64")
    kernel = tensors["kernel"]
    with tf.GradientTape() as outer:
        outer.watch(kernel)
        with tf.GradientTape() as inner:
            inner.watch(kernel)
            peaks, _ = bats.peaks(*(tensors[name] for name in PEAK_ARGUMENTS))
            total = tf.reduce_sum(tf.where(tf.math.is_finite(peaks), peaks, 0) ** 2)
        squares = tf.reduce_sum(inner.gradient(total, kernel) ** 2)
    with FIRST_ONLY:
        outer.gradient(squares, kernel)
