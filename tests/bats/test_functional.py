import math
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tests.bats import oracle, problems
from tests.bats.harness import spike_trains
from tests.bats.test_oracle import GOLDEN
from tests.tolerances import FLOAT32, FLOAT64
from ttfs_keras import bats

DENSE, CONVOLUTION = problems.CASES["dense"], problems.CASES["convolution"]
CONSTANTS = ("tau_s", "threshold", "delta_threshold", "max_spikes", "simulation_time")
TRAINS = {bats.dense: (2, 3, 2), bats.conv2d: (2, 4, 4, 3, 2)}
KERNELS = {bats.dense: (3, 4), bats.conv2d: (2, 2, 3, 4)}
GOOD = {"tau_s": 0.13, "threshold": 0.2}


def constants(problem):
    return {name: getattr(problem, name) for name in CONSTANTS}


def arguments(function, dtype="float64", **changes):
    times, kernel = spike_trains(TRAINS[function]).astype(dtype), np.full(KERNELS[function], 10, dtype)
    return {"times": times, "kernel": kernel, **GOOD, **changes}


def test_dense_is_the_oracle():
    expected, counts, _ = oracle.spikes(DENSE)
    times, found = bats.dense(DENSE.times[:, 0, 0], DENSE.kernel[0, 0], **constants(DENSE))
    np.testing.assert_allclose(times, expected[:, 0, 0], rtol=0, atol=FLOAT64)
    np.testing.assert_array_equal(found, counts[:, 0, 0])
    assert times.dtype == "float64" and found.dtype == "int32"


def test_convolution_is_the_oracle():
    expected, counts, _ = oracle.spikes(CONVOLUTION)
    times, found = bats.conv2d(CONVOLUTION.times, CONVOLUTION.kernel, **constants(CONVOLUTION))
    np.testing.assert_allclose(times, expected, rtol=0, atol=FLOAT64)
    np.testing.assert_array_equal(found, counts)


@pytest.mark.parametrize("function", TRAINS)
def test_delta_threshold_is_the_threshold_by_default(function):
    default, given = (function(**arguments(function, delta_threshold=d))[0] for d in (None, 0.2))
    other = function(**arguments(function, delta_threshold=0.1))[0]
    np.testing.assert_array_equal(default, given)
    assert (default.numpy() != other.numpy()).any()


def test_constants_are_exact_in_float64():
    """In float32 each of them would be another by 1e-8 of its size, and the spike with them."""
    tau_s, threshold = 0.1, 0.013
    weight = 0.4
    times, _ = bats.dense(np.zeros((1, 1, 1)), np.array([[weight]]), tau_s, threshold, None, 1, 2.0)
    first = times.numpy().item()
    # w tau (x - x^2) = threshold with x = e^(-t/tau), the larger root.
    x = (1 + math.sqrt(1 - 4 * threshold / (weight * 2 * tau_s))) / 2
    assert first == pytest.approx(-2 * tau_s * math.log(x), rel=1e-14)
    as_tensors = bats.dense(
        np.zeros((1, 1, 1)),
        np.array([[weight]]),
        *(tf.constant(c, tf.float64) for c in (tau_s, threshold)),
        None,
        1,
        2.0,
    )[0]
    assert as_tensors.numpy().item() == first


@pytest.mark.parametrize("function", TRAINS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_and_slots_may_be_unknown(function, dtype):
    given = arguments(function, dtype)
    shape = (None, *TRAINS[function][1:-1], None)

    @tf.function(input_signature=[tf.TensorSpec(shape, dtype)])
    def graph(times):
        spikes, counts = function(times, given["kernel"], **GOOD, max_spikes=4)
        assert spikes.shape[0] is None and spikes.shape[-2:] == (4, 4) and counts.shape == spikes.shape[:-1]
        return spikes, counts

    for times in (given["times"], given["times"][:1, ..., :1], given["times"][:0]):
        expected = function(times, given["kernel"], **GOOD, max_spikes=4)
        for found, value in zip(graph(times), expected, strict=True):
            np.testing.assert_array_equal(found, value)


def test_gradients_reach_times_kernel_and_constants():
    times, kernel = tf.zeros((1, 1, 1), tf.float64), tf.constant([[4.0]], tf.float64)
    tensors = [times, kernel, tf.constant(1.0, tf.float64), tf.constant(1.0, tf.float64)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        first = bats.dense(times, kernel, tensors[2], tensors[3], 1.0, 1, 10.0)[0]
    np.testing.assert_allclose(first, [[GOLDEN[:1]]], rtol=1e-14)
    by_time, by_kernel, by_tau, by_threshold = (float(tf.reduce_sum(g)) for g in tape.gradient(first, tensors))
    slow, fast = math.exp(-GOLDEN[0] / 2), math.exp(-GOLDEN[0])
    slope = 4 * (2 * fast - slow)  # of u = 8 (e^(-t/2) - e^-t)
    assert by_time == pytest.approx(1, rel=1e-12)
    assert by_kernel == pytest.approx(-2 * (slow - fast) / slope, rel=1e-12)
    assert by_threshold == pytest.approx(1 / slope, rel=1e-12)
    # Measured in another unit of time, times, tau_s and the threshold scale alike.
    assert by_tau == pytest.approx(GOLDEN[0] - by_threshold, rel=1e-9)


@pytest.mark.parametrize("function", TRAINS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", FLOAT64), ("float32", FLOAT32)])
def test_without_an_end_all_spikes_come(function, dtype, tolerance):
    """As many as until 60 synaptic time constants, more than until 4, and with the same gradients."""
    problem = DENSE if function is bats.dense else CONVOLUTION
    early, late = (replace(problem, simulation_time=factor * problem.tau_s) for factor in (4, 60))
    expected, counts, _ = oracle.spikes(late)
    assert counts.sum() > oracle.spikes(early)[1].sum()
    found = {}
    for simulation_time in (late.simulation_time, math.inf):
        tensors = late.tensors(dtype) | {"simulation_time": simulation_time}
        if function is bats.dense:
            tensors |= {"times": tensors["times"][:, 0, 0], "kernel": tensors["kernel"][0, 0]}
        with tf.GradientTape() as tape:
            sources = [tensors[name] for name in problems.DIFFERENTIABLE]
            tape.watch(sources)
            times, number = function(**tensors, max_spikes=problem.max_spikes)
            total = tf.reduce_sum(tf.where(tf.math.is_finite(times), times, 0))
        np.testing.assert_array_equal(number, counts.reshape(number.shape))
        np.testing.assert_allclose(times, expected.reshape(times.shape), rtol=tolerance)
        found[simulation_time] = tape.gradient(total, sources)
    for limited, endless in zip(*found.values(), strict=True):
        np.testing.assert_allclose(endless, limited, rtol=tolerance, atol=tolerance * np.abs(limited).max())


def test_without_an_end_and_without_input_there_are_no_spikes():
    for samples in (0, 2):
        times, counts = bats.dense(
            np.full((samples, 3, 1), np.inf), np.ones((3, 4)), 0.1, 0.2, simulation_time=math.inf
        )
        assert np.isinf(times).all() and not np.any(counts)


@pytest.mark.parametrize("function", TRAINS)
def test_everything_that_cannot_work_is_listed_at_once(function):
    wrong = {"tau_s": 0.0, "threshold": -1, "delta_threshold": math.nan, "max_spikes": 0, "simulation_time": -math.inf}
    with pytest.raises(ValueError) as error:
        function(np.ones((2, 3), "int32"), np.ones((3,), "float32"), **wrong)
    text = str(error.value)
    assert len(text.splitlines()) == 1 + 4 + len(wrong)
    for name, value in wrong.items():
        assert f"{name} to be" in text and f"Received: {value!r}" in text
    assert "times of dtype float32 or float64. Received: int32" in text
    assert "kernel of dtype int32, as the times. Received: float32" in text
    assert "expected times (batch, " in text and "Received: (2, 3)" in text
    assert "expected kernel (" in text and "Received: (3,)" in text


@pytest.mark.parametrize(
    ("function", "wrong", "message"),
    [
        (bats.dense, {"kernel": np.ones((5, 4))}, r"kernel for 3 inputs\. Received: \(5, 4\)"),
        (bats.conv2d, {"kernel": np.ones((2, 2, 5, 4))}, r"kernel for 3 inputs\. Received: \(2, 2, 5, 4\)"),
        (bats.conv2d, {"kernel": np.ones((5, 2, 3, 4))}, r"kernel within \(4, 4\)\. Received: \(5, 2, 3, 4\)"),
        (bats.conv2d, {"kernel": np.ones((2, 0, 3, 4))}, r"kernel within \(4, 4\)\. Received: \(2, 0, 3, 4\)"),
        (bats.dense, {"max_spikes": 1.0}, r"max_spikes to be an int of at least 1\. Received: 1\.0"),
        (bats.dense, {"threshold": None}, "threshold to be a positive, finite number or a tensor. Received: None"),
        (bats.dense, {"tau_s": "1"}, "tau_s to be a positive, finite number or a tensor. Received: '1'"),
        (bats.dense, {"times": np.ones((2, 3, 2), "float16")}, "dtype float32 or float64. Received: float16"),
    ],
)
def test_one_wrong_argument_is_named(function, wrong, message):
    with pytest.raises(ValueError, match=message):
        function(**arguments(function, **wrong))


@pytest.mark.parametrize("name", ["tau_s", "threshold", "delta_threshold", "simulation_time"])
def test_tensors_are_checked_when_their_values_are_known(name):
    with pytest.raises(tf.errors.InvalidArgumentError, match="positive"):
        bats.dense(**arguments(bats.dense, **{name: tf.constant(-1.0)}))
