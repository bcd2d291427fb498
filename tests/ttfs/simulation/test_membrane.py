import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import tolerances
from ttfs_keras.ttfs.simulation.membrane import fire, integrate


def closed_form(times, weights, threshold, start, stop):
    """Oracle for one neuron, whose V is a sum of ramps: bracket the first crossing by their corners, then bisect.

    Returns the crossing before `stop`, inf if there is none, and the potential at `stop`.
    """
    onsets = np.concatenate([[start], times])
    slopes, onsets = weights[np.isfinite(onsets)], onsets[np.isfinite(onsets)]

    def potential(t):
        return (slopes * np.maximum(t - onsets, 0)).sum()

    corners = np.unique(np.append(onsets, stop))
    if threshold <= 0:
        return corners[0], potential(stop)
    for low, high in itertools.pairwise(corners):
        if potential(high) >= threshold:
            for _ in range(80):
                middle = (low + high) / 2
                low, high = (low, middle) if potential(middle) >= threshold else (middle, high)
            return high, potential(stop)
    return np.inf, potential(stop)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_agrees_with_the_closed_form(data):
    rows, inputs, neurons = (data.draw(st.integers(low, 4)) for low in (1, 0, 1))
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    # A coarse grid makes spikes coincide; some come before `start`, some never.
    times = generator.integers(0, 32, (rows, inputs)) / 16
    times[generator.random(times.shape) < 0.2] = np.inf
    weights = generator.normal(size=(1 + inputs, neurons)) * 2
    threshold = generator.normal(0.7, 0.7, size=(rows, neurons))
    start, stop = 1.0, 2.0
    crossing, potential = integrate(times, weights, threshold, start, stop)
    for row in range(rows):
        for neuron in range(neurons):
            goal = threshold[row, neuron]
            expected = closed_form(times[row], weights[:, neuron], goal, start, stop)
            assert potential[row, neuron] == pytest.approx(expected[1], abs=tolerances.SIMULATOR)
            assert crossing[row, neuron] == pytest.approx(expected[0], abs=tolerances.SIMULATOR)


def test_first_crossing_wins_although_the_membrane_falls_again():
    crossing, potential = integrate(np.array([[0.0, 0.5]]), np.array([[0.0], [2.0], [-4.0]]), 0.5, 0.0, 1.0)
    assert crossing == 0.25 and potential == 0


def test_a_touch_of_threshold_fires():
    crossing, _ = integrate(np.array([[0.0, 0.5]]), np.array([[0.0], [1.0], [-2.0]]), 0.5, 0.0, 1.0)
    assert crossing == 0.5


def test_simultaneous_spikes_cancel():
    crossing, potential = integrate(np.array([[0.25, 0.25]]), np.array([[0.0], [9.0], [-9.0]]), 0.5, 0.0, 1.0)
    assert np.isinf(crossing) and potential == 0


def test_a_spike_before_the_window_before_counts_from_its_arrival():
    crossing, potential = integrate(np.array([[0.5]]), np.array([[1.0], [2.0]]), 1.5, 1.0, 2.0)
    assert potential == 2 * 1.5 + 1
    assert crossing == 1 + 0.5 / 3


def test_a_threshold_at_rest_is_reached_at_the_first_event():
    weights = np.array([[0.0], [-1.0]])
    assert integrate(np.array([[0.5]]), weights, -1.0, 0.25, 1.0)[0] == 0.25
    assert integrate(np.array([[0.125]]), weights, -1.0, 0.25, 1.0)[0] == 0.125


def test_slope_alone_reaches_threshold():
    crossing, potential = integrate(np.full((1, 2), np.inf), np.array([[2.0], [5.0], [5.0]]), 1.0, 0.0, 1.0)
    assert crossing == 0.5 and potential == 2


@pytest.mark.parametrize("shift", [0, 1000])
def test_rounding_at_the_opening_is_no_crossing(shift):
    """0.1 + 0.2 > 0.3 in float64; a membrane that arrives at threshold there has not crossed it before."""
    weights = np.array([[0.0], [0.1], [0.2]])
    crossing, potential = integrate(np.full((1, 2), shift + 0.0), weights, 0.3, shift, shift + 1.0)
    assert np.isinf(crossing) and potential == pytest.approx(0.3)
    crossing, _ = integrate(np.full((1, 2), shift + 0.0), weights, 0.3 - 1e-8, shift, shift + 1.0)
    assert crossing < shift + 1


def test_no_rows():
    crossing, potential = integrate(np.zeros((0, 3)), np.zeros((4, 2)), 1.0, 0.0, 1.0)
    assert crossing.shape == potential.shape == (0, 2)


def fired(crossing, potential, armed=False):
    """Fire one neuron of threshold 1 and slope 2 in the window [1, 1.5]."""
    return fire(np.array([[crossing]]), np.array([[potential]]), np.ones((1, 1)), np.array([2.0]), (1.0, 1.5), armed)


def test_fires_inside_the_window_on_its_slope():
    firing = fired(np.inf, 0.5)
    assert (firing.times, firing.premature, firing.saturated) == (1.25, 0, 0)


@pytest.mark.parametrize("potential", [0.0, -1.0, 1e-14])
def test_silent_if_threshold_is_not_reached_before_the_end(potential):
    assert np.isinf(fired(np.inf, potential).times)


def test_exactly_at_threshold_fires_at_the_opening():
    firing = fired(np.inf, 1.0)
    assert (firing.times, firing.premature, firing.saturated) == (1.0, 0, 0)


def test_premature_spike_is_emitted_or_held():
    assert fired(0.75, 0.5).times == 0.75
    assert fired(0.75, 0.5, armed=True).times == 1.25
    assert np.isinf(fired(0.75, -3.0, armed=True).times)
    for armed in (False, True):
        firing = fired(0.75, 0.5, armed)
        assert (firing.premature, firing.saturated) == (1, 0)


def test_saturated_spike_is_emitted_or_held():
    assert fired(0.75, 1.5).times == 0.75
    assert fired(0.75, 1.5, armed=True).times == 1
    for armed in (False, True):
        firing = fired(0.75, 1.5, armed)
        assert (firing.premature, firing.saturated) == (1, 1)


def test_a_crossing_within_rounding_of_the_opening_is_not_premature():
    firing = fired(1 - 1e-14, 1 + 1e-14)
    assert (firing.times, firing.premature, firing.saturated) == (1.0, 0, 0)
