import math
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bats import oracle, problems
from tests.bats.problems import CASES, DIFFERENTIABLE
from tests.bats.test_oracle import GOLDEN
from tests.bats.tolerances import DIFFERENCE_STEP, FLOAT32_RESETS, FLOAT32_TIME
from tests.ops.harness import assert_gradient, gradients, one_neuron, run, run_peaks, upstream
from tests.tolerances import FLOAT64, GRADIENT
from ttfs_keras.ops import bats, reference


def test_cases_are_worth_the_comparison():
    counts = {name: oracle.spikes(problem)[1] for name, problem in CASES.items()}
    for name in ("dense", "convolution"):
        assert {0, 1, 2, 6} <= set(counts[name].ravel().tolist())
    for name in ("full trains", "convolution, full trains"):
        assert (counts[name] == CASES[name].max_spikes).mean() > 0.5


@pytest.mark.parametrize("wrap", [lambda f: f, tf.function], ids=["eager", "graph"])
def test_trains_are_the_oracles(ops, problem, wrap):
    call = wrap(lambda tensors: ops.spikes(**tensors, max_spikes=problem.max_spikes))
    times, counts, overflow = (x.numpy() for x in call(problem.tensors()))
    expected, expected_counts, expected_overflow = oracle.spikes(problem)
    assert (times.dtype, counts.dtype, overflow.dtype) == ("float64", "int32", "int64")
    np.testing.assert_array_equal(counts, expected_counts)
    np.testing.assert_allclose(times, expected, rtol=0, atol=FLOAT64)
    assert overflow == expected_overflow


def test_float32_is_float64_rounded(ops, problem):
    times, counts, overflow = run(ops, problem, "float32")
    expected, expected_counts, expected_overflow = run(ops, problem)
    assert times.dtype == "float32" and overflow == expected_overflow
    np.testing.assert_array_equal(counts, expected_counts)
    np.testing.assert_allclose(times, expected, rtol=0, atol=FLOAT32_TIME * problem.simulation_time)


@settings(max_examples=60, deadline=None)
@given(
    inputs=st.lists(st.tuples(st.integers(0, 40), st.integers(-60, 90)), max_size=8),
    delta_threshold=st.sampled_from([0.3, 1.1]),
    max_spikes=st.integers(1, 5),
)
def test_a_neuron_with_any_input_is_the_oracles(inputs, delta_threshold, max_spikes):
    """Times on a grid coincide with each other and with the simulation time."""
    times, weights = [time / 32 for time, _ in inputs], [weight / 3 for _, weight in inputs]
    # A threshold that no combination of the weights reaches at a tangent.
    changes = {"threshold": 1.0371, "tau_s": 0.311, "simulation_time": 1.0, "max_spikes": max_spikes}
    problem = one_neuron(times, weights, delta_threshold=delta_threshold, **changes)
    times, counts, overflow = run(reference, problem)
    expected, expected_counts, expected_overflow = oracle.spikes(problem)
    np.testing.assert_array_equal(counts, expected_counts)
    np.testing.assert_allclose(times, expected, rtol=0, atol=FLOAT64)
    assert overflow == expected_overflow
    found, found_times = run_peaks(reference, problem)
    best, best_times = oracle.peaks(problem)
    np.testing.assert_allclose(found, best, rtol=0, atol=FLOAT64 * 100)
    if len(set(times.ravel())) == times.size and (best > 0).all():  # else two ends may be equally high
        np.testing.assert_allclose(found_times, best_times, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_are_central_differences(ops, problem, name):
    weights, counts = upstream(problem), oracle.spikes(problem)[1]

    def loss(moved):
        times, moved_counts, _ = oracle.spikes(moved)
        assert (moved_counts == counts).all()
        return (weights * np.where(np.isfinite(times), times, 0)).sum()

    expected = oracle.differences(loss, problem, name, DIFFERENCE_STEP)
    found = gradients(ops, problem, weights)[name]
    assert_gradient(found, expected)
    assert np.any(expected) == (name != "delta_threshold" or problem.max_spikes > 1)


def test_gradients_in_a_graph_are_the_same(ops):
    problem = CASES["convolution"]
    weights = upstream(problem)
    signature = {
        name: tf.TensorSpec((None, *x.shape[1:4], None) if name == "times" else x.shape, x.dtype)
        for name, x in problem.tensors().items()
    }

    @tf.function(input_signature=[signature])
    def graph(tensors):
        times, counts, overflow = ops.spikes(**tensors, max_spikes=problem.max_spikes)
        assert times.shape == (None, 2, 2, 2, problem.max_spikes) and counts.shape == (None, 2, 2, 2)
        assert overflow.shape == ()
        sources = [tensors[name] for name in DIFFERENTIABLE]
        return tf.gradients(times, sources, grad_ys=tf.constant(weights))

    eager = gradients(ops, problem, weights).values()
    for found, expected in zip(graph(problem.tensors()), eager, strict=True):
        np.testing.assert_allclose(found, expected, rtol=FLOAT64, atol=FLOAT64)


def test_float32_gradients_are_float64s(ops, problem):
    weights = upstream(problem)
    found, expected = (gradients(ops, problem, weights, dtype=dtype) for dtype in ("float32", "float64"))
    for name in DIFFERENTIABLE:
        assert found[name].dtype == "float32"
        atol = 1e-3 * abs(expected[name]).max(initial=0)
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=atol)


def test_golden_neuron(ops):
    problem = one_neuron([0.0], [4.0])
    times, counts, overflow = run(ops, problem)
    np.testing.assert_allclose(times.ravel(), [*GOLDEN, np.inf, np.inf], rtol=1e-14)
    assert counts == 2 and overflow == 0
    slow, fast = math.exp(-GOLDEN[0] / 2), math.exp(-GOLDEN[0])
    slope = gradients(ops, problem, [[[[[1.0, 0, 0, 0]]]]])["kernel"]
    assert slope.item() == pytest.approx(-(slow - fast) / (4 * (fast - slow / 2)), rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_tangent_fires_and_counts_as_constant(ops, dtype):
    # tau = 1 and w = 4: u is largest, and exactly 1, where e^t = 2.
    problem = one_neuron([0.0], [4.0], tau_s=0.5)
    assert run(ops, problem, dtype)[0].ravel()[:2] == pytest.approx([math.log(2), np.inf])
    for gradient in gradients(ops, problem, np.ones((1, 1, 1, 1, 4)), dtype=dtype).values():
        np.testing.assert_array_equal(gradient, 0)


def bounded_coefficients(problem, upstream, min_slope):
    """Return {(neuron, k): -dL/du(t_k)}: a triangular system of the slopes, and of the resets by earlier spikes."""
    coefficients, tau = {}, 2 * problem.tau_s
    for index, train in oracle.trains(problem).items():
        times = np.array(train.times)
        system = -problem.delta_threshold / tau * np.tril(np.exp((times - times[:, np.newaxis]) / tau), -1)
        np.fill_diagonal(system, np.maximum(train.slopes, min_slope))
        for k, value in enumerate(np.linalg.solve(system.T, upstream[index][: len(times)])):
            coefficients[index, k] = value
    return coefficients


@pytest.mark.parametrize("case", ["dense", "full trains"])
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_min_slope_bounds_the_slopes(ops, case, name):
    problem = CASES[case]
    weights, trains = upstream(problem), oracle.trains(problem)
    slopes = np.concatenate([train.slopes for train in trains.values()])
    min_slope = float(np.median(slopes))
    coefficients = bounded_coefficients(problem, weights, min_slope)

    def loss(moved):
        """Linear in what the membranes miss at the spikes, which stay where they are."""
        total = 0.0
        for index, times, kernel in oracle.neurons(moved):
            spikes = trains[index].times
            for k, time in enumerate(spikes):
                missing = moved.threshold - oracle.potential(time, times, kernel, spikes[:k], moved)
                total += coefficients[index, k] * missing
        return total

    expected = oracle.differences(loss, problem, name, DIFFERENCE_STEP)
    assert_gradient(gradients(ops, problem, weights, min_slope)[name], expected)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_min_slope_scales_the_gradient_of_a_single_spike(ops, name):
    problem = one_neuron([0.0, 0.1], [3.0, 1.5], max_spikes=1)
    (train,) = oracle.trains(problem).values()
    exact, bounded = (
        gradients(ops, problem, np.ones((1, 1, 1, 1, 1)), min_slope)[name] for min_slope in (0.0, 3 * train.slopes[0])
    )
    np.testing.assert_allclose(bounded, exact / 3, rtol=GRADIENT)


def test_simultaneous_inputs_add_up(ops):
    together = run(ops, one_neuron([0.5, 0.2, 0.5, 0.5], [9.0, 1.0, -7.0, 2.0]))
    alone = run(ops, one_neuron([0.2, 0.5], [1.0, 4.0]))
    for found, expected in zip(together, alone, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=FLOAT64)
    assert alone[1] > 0
    cancelling = one_neuron([0.5, 0.5], [90.0, -90.0])
    assert run(ops, cancelling)[1] == 0 and run_peaks(ops, cancelling)[0] == 0


def test_a_crossing_at_the_next_input_comes_before_it(ops):
    # tau = c = 1: at ln 2, a = 6 and b = 5, so that u = 1 at E = 2, ln 2 later; exp(ln 2) is 2 without rounding.
    step = math.log(2)
    problem = one_neuron([0.0, step, 2 * step], [-4.0, 7.0, -100.0], tau_s=0.5)
    times, counts, _ = run(ops, problem)
    assert counts == 1 and times.ravel()[0] == 2 * step
    found = gradients(ops, problem, np.ones((1, 1, 1, 1, 4)))
    assert found["times"].ravel()[2] == 0 and found["kernel"].ravel()[2] == 0


def test_the_order_of_slots_means_nothing(ops):
    problem = CASES["dense"]
    shuffled = np.random.default_rng(0).permuted(problem.times, axis=-1)
    for found, expected in zip(run(ops, replace(problem, times=shuffled)), run(ops, problem), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_shorter_train_is_the_start_of_a_longer_one(ops):
    problem = CASES["full trains"]
    longer, counts, overflow = run(ops, replace(problem, max_spikes=60))
    times, _, truncated = run(ops, problem)
    np.testing.assert_array_equal(times, longer[..., : problem.max_spikes])
    assert overflow == 0 and truncated == (counts > problem.max_spikes).sum() > 0


def test_input_at_the_simulation_time_is_ignored(ops):
    problem = one_neuron([0.0, 1.0, 1.5, np.inf], [4.0, 90.0, 90.0, 90.0], simulation_time=1.0)
    np.testing.assert_allclose(run(ops, problem)[0].ravel()[:2], GOLDEN, rtol=1e-14)
    assert not gradients(ops, problem, np.ones((1, 1, 1, 1, 4)))["kernel"].ravel()[1:].any()
    assert run_peaks(ops, problem)[1] <= 1


@pytest.mark.parametrize("shape", [(0, 4, 3, 2, 2), (2, 4, 3, 2, 0), (2, 4, 3, 2, 2)])
def test_nothing_in_nothing_out(ops, shape):
    problem = replace(CASES["convolution"], times=np.full(shape, np.inf))
    times, counts, overflow = run(ops, problem)
    assert times.shape == (shape[0], 2, 2, 2, problem.max_spikes) and counts.shape == times.shape[:-1]
    assert np.isinf(times).all() and not counts.any() and overflow == 0
    for gradient in gradients(ops, problem, np.ones(times.shape)).values():
        assert not np.any(gradient)
    peaks, peak_times = run_peaks(ops, problem)
    assert peaks.shape == counts.shape and (peaks == -np.inf).all() and (peak_times == np.inf).all()


def test_an_empty_sample_leaves_the_others_alone(ops):
    problem = CASES["dense"]
    times = problem.times.copy()
    times[1] = np.inf
    found, expected = run(ops, replace(problem, times=times)), run(ops, problem)
    assert np.isinf(found[0][1]).all() and not found[1][1].any()
    np.testing.assert_array_equal(found[0][::2], expected[0][::2])


def test_slots_without_a_spike_pass_no_gradient(ops):
    problem = CASES["dense"]
    weights = upstream(problem)
    silent = np.isinf(oracle.spikes(problem)[0])
    assert silent.any()
    found, expected = (gradients(ops, problem, np.where(silent, value, weights)) for value in (np.nan, 0.0))
    for name in DIFFERENTIABLE:
        np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("max_spikes", [1, 30])
def test_a_weight_that_is_not_finite_makes_the_neurons_nan_that_it_reaches(ops, bad, max_spikes):
    problem = replace(CASES["dense"], max_spikes=max_spikes)
    kernel, times = problem.kernel.copy(), problem.times.copy()
    kernel[0, 0, 2, 1] = bad
    times[0, 0, 0, 2] = np.inf  # no spike comes through that weight
    broken, problem = replace(problem, kernel=kernel, times=times), replace(problem, times=times)
    reached = np.zeros(oracle.output_shape(problem), bool)
    reached[:, 0, 0, 1] = (times[:, 0, 0, 2] < problem.simulation_time).any(axis=-1)
    assert 0 < reached[:, 0, 0, 1].sum() < len(reached)
    (found, counts, _), (expected, sound, _) = run(ops, broken), run(ops, problem)
    np.testing.assert_array_equal(found, np.where(reached[..., np.newaxis], np.nan, expected))
    np.testing.assert_array_equal(counts, np.where(reached, 0, sound))
    found = gradients(ops, broken, upstream(problem))
    assert np.isnan(found["times"]).any() and np.isnan(found["kernel"][0, 0, :, 1]).any()
    peaks, peak_times = run_peaks(ops, broken)
    expected, when = run_peaks(ops, problem)
    np.testing.assert_allclose(peaks, np.where(reached, np.nan, expected), rtol=0, atol=FLOAT64)
    np.testing.assert_allclose(peak_times, np.where(reached, np.nan, when), rtol=0, atol=FLOAT64)


@pytest.mark.parametrize("name", ["dense", "convolution"])
def test_a_time_that_is_nan_makes_the_neurons_nan_that_see_it(ops, name):
    problem = CASES[name]
    times = problem.times.copy()
    times[1, 0, 0, 0, 0] = np.nan
    broken = replace(problem, times=times)
    seen = np.zeros(oracle.output_shape(problem), bool)
    seen[1, 0, 0] = True
    (found, counts, _), (expected, sound, _) = run(ops, broken), run(ops, problem)
    np.testing.assert_array_equal(found, np.where(seen[..., np.newaxis], np.nan, expected))
    np.testing.assert_array_equal(counts, np.where(seen, 0, sound))
    found = gradients(ops, broken, upstream(problem))
    assert np.isnan(found["times"][1]).any() and not np.isnan(found["times"][0]).any()
    assert np.isnan(found["kernel"]).any()
    (peaks, _), (expected, _) = run_peaks(ops, broken), run_peaks(ops, problem)
    np.testing.assert_allclose(peaks, np.where(seen, np.nan, expected), rtol=0, atol=FLOAT64)


@pytest.mark.parametrize("delta_threshold", [1e-1, 1e-2, 1e-4])
def test_float32_resets_do_not_add_up_their_rounding(delta_threshold):
    """One input that fires a neuron thousands of times before anything else happens."""
    problem = one_neuron([0.0], [60.0], delta_threshold=delta_threshold, max_spikes=5000, simulation_time=1.0)
    single, count, _ = run(bats, problem, "float32")
    times, expected, _ = run(bats, problem)
    assert count.item() == expected.item() > 50
    fired = np.isfinite(times)
    assert np.all(np.diff(single[fired]) >= 0)
    np.testing.assert_allclose(single[fired], times[fired], rtol=0, atol=FLOAT32_RESETS)


def test_float32_lasts_for_any_simulation_time(ops):
    problem = problems.long_simulation()
    times, counts, overflow = run(ops, problem, "float32")
    expected, expected_counts, expected_overflow = oracle.spikes(problem)
    np.testing.assert_array_equal(counts, expected_counts)
    assert overflow == expected_overflow > 0 and counts.min() < counts.max()
    np.testing.assert_allclose(times, expected, rtol=0, atol=FLOAT32_TIME)
    for gradient in gradients(ops, problem, np.ones(times.shape), dtype="float32").values():
        assert np.isfinite(gradient).all() and np.any(gradient)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_long_silence_between_inputs_does_no_harm(ops, dtype):
    # exp(t/tau) overflows between the two inputs.
    problem = one_neuron([0.0, 2000.0], [4.0, 4.0], simulation_time=5000.0)
    times, counts, _ = run(ops, problem, dtype)
    assert counts == 4
    np.testing.assert_allclose(times.ravel()[::2] % 2000, GOLDEN[0], atol=1e-3)
    assert run_peaks(ops, problem, dtype)[1] == pytest.approx(2 * math.log(2))
    falling = replace(problem, kernel=-problem.kernel)
    assert run(ops, falling, dtype)[1] == 0 and run_peaks(ops, falling, dtype)[0] == pytest.approx(0)
    assert np.isfinite(run_peaks(ops, falling, dtype)[1])
