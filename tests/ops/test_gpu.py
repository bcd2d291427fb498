"""The CUDA kernels on a GPU against the CPU's; where there is none, tests/ops/test_cuda.py still runs their bodies."""

import numpy as np
import pytest
import tensorflow as tf

from tests.bats import oracle, problems
from tests.bats.problems import CASES, DIFFERENTIABLE
from tests.tolerances import FLOAT64
from ttfs_keras import ops
from ttfs_keras.ops.library import library

GPUS = tf.config.list_physical_devices("GPU")
pytestmark = [pytest.mark.needs_gpu, pytest.mark.skipif(not GPUS, reason="TensorFlow sees no GPU")]

PEAK_ARGUMENTS = ("times", "kernel", "tau_s", "simulation_time")
TOLERANCES = {"float32": 1e-3, "float64": FLOAT64}  # of gradients, relative to the largest


def on(device, problem, dtype, upstream):
    """Return trains, counts and overflow, then the gradients, of an op that must run on a device."""
    assert library() is not None
    with tf.device(device):
        tensors = problem.tensors(dtype)
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            found = ops.spikes(**tensors, max_spikes=problem.max_spikes)
        assert all(device in x.device for x in found[:2])
        gradients = tape.gradient(found[0], [tensors[n] for n in DIFFERENTIABLE], tf.constant(upstream, dtype))
    return [x.numpy() for x in found], [tf.convert_to_tensor(g).numpy() for g in gradients]


def upstream_of(problem):
    return np.random.default_rng(8).normal(size=(*oracle.output_shape(problem), problem.max_spikes))


def many_samples():
    """More samples than a block has threads."""
    return problems.problem(11, batch=1500, channels=9, units=33)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", [*CASES, "many samples"])
def test_trains_and_gradients_are_the_cpus(case, dtype):
    problem = many_samples() if case == "many samples" else CASES[case]
    upstream = upstream_of(problem)
    (times, counts, overflow), gradients = on("GPU:0", problem, dtype, upstream)
    (expected, expected_counts, expected_overflow), cpu_gradients = on("CPU:0", problem, dtype, upstream)
    np.testing.assert_array_equal(counts, expected_counts)
    assert overflow == expected_overflow
    atol = FLOAT64 if dtype == "float64" else 2e-5 * problem.simulation_time
    np.testing.assert_allclose(times, expected, rtol=0, atol=atol)
    for name, found, gradient in zip(DIFFERENTIABLE, gradients, cpu_gradients, strict=True):
        bound = TOLERANCES[dtype] * abs(gradient).max(initial=0)
        np.testing.assert_allclose(found, gradient, rtol=0, atol=bound, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_peaks_and_their_gradients_are_the_cpus(case, dtype):
    problem, results = CASES[case], {}
    upstream = np.random.default_rng(9).normal(size=oracle.output_shape(problem))
    for device in ("CPU:0", "GPU:0"):
        with tf.device(device):
            tensors = [problem.tensors(dtype)[name] for name in PEAK_ARGUMENTS]
            with tf.GradientTape() as tape:
                tape.watch(tensors)
                peaks, _ = ops.peaks(*tensors)
            gradients = tape.gradient(peaks, tensors[:2], tf.constant(upstream, dtype))
        results[device] = [x.numpy() for x in (peaks, *gradients)]
    for found, expected in zip(results["GPU:0"], results["CPU:0"], strict=True):
        finite = abs(np.where(np.isfinite(expected), expected, 0)).max(initial=0)
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCES[dtype] * finite)


def test_two_runs_are_bit_identical():
    problem = many_samples()
    first, second = (on("GPU:0", problem, "float32", upstream_of(problem)) for _ in range(2))
    for a, b in zip([*first[0], *first[1]], [*second[0], *second[1]], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shape", [(0, 4, 3, 2, 2), (2, 4, 3, 2, 0)])
def test_nothing_in_nothing_out(shape):
    with tf.device("GPU:0"):
        tensors = CASES["convolution"].tensors() | {"times": tf.fill(shape, tf.constant(np.inf, tf.float64))}
        times, counts, overflow = ops.spikes(**tensors, max_spikes=4)
    assert times.shape == (shape[0], 2, 2, 2, 4) and np.isinf(times).all()
    assert not counts.numpy().any() and overflow == 0
