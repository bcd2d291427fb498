import math

import numpy as np
import pytest

from tests.bats import oracle, problems

ROOT2 = math.sqrt(2)
# w = 4, tau_s = theta = 1, an input at 0: E1 = 4 - 2 sqrt(2); after the reset b = 2 + sqrt(2) and a third spike is out
# of reach.
GOLDEN = [2 * math.log(4 - 2 * ROOT2), 2 * math.log(8 / (2 + ROOT2 + math.sqrt(4 * ROOT2 - 2)))]


def test_golden_train():
    train = oracle.neuron([0.0], [4.0], 1.0, 1.0, 1.0, 10.0, 5)
    assert train.times == pytest.approx(GOLDEN, rel=1e-14) and not train.overflow
    slow, fast = math.exp(-GOLDEN[0] / 2), math.exp(-GOLDEN[0])
    assert train.slopes[0] == pytest.approx(4 * (2 * fast - slow), rel=1e-13)


@pytest.mark.parametrize(("max_spikes", "expected", "overflow"), [(1, 1, True), (2, 2, False)])
def test_a_full_train_says_so(max_spikes, expected, overflow):
    train = oracle.neuron([0.0], [4.0], 1.0, 1.0, 1.0, 10.0, max_spikes)
    assert (len(train.times), train.overflow) == (expected, overflow)


def test_simulation_time_ends_trains_and_inputs():
    assert oracle.neuron([0.0], [4.0], 1.0, 1.0, 1.0, 0.5, 5).times == pytest.approx(GOLDEN[:1])
    assert oracle.neuron([1.0], [9.0], 1.0, 1.0, 1.0, 1.0, 5).times == []


def test_golden_peak():
    # u = 2 w (e^(-t/2) - e^(-t)) is largest where e^(t/2) = 2.
    assert oracle.peak([0.0], [4.0], 1.0, 10.0) == pytest.approx((2.0, 2 * math.log(2)))
    assert oracle.peak([0.0], [4.0], 1.0, 1.0) == pytest.approx((8 * (math.exp(-0.5) - math.exp(-1)), 1.0))
    assert oracle.peak([np.inf], [4.0], 1.0, 1.0) == (-np.inf, np.inf)


@pytest.mark.parametrize("seed", range(3))
def test_trains_obey_the_differential_equation(seed):
    """Euler's method, which knows nothing of closed forms, with a step that bounds its error."""
    p, steps = problems.problem(seed, batch=1, units=4), 200_000
    step = p.simulation_time / steps
    for index, times, weights in oracle.neurons(p):
        train = oracle.trains(p)[index]
        arriving = np.zeros(steps + 1)
        here = times < p.simulation_time
        np.add.at(arriving, np.round(times[here] / step).astype(int), weights[here])
        u, v, found = 0.0, 0.0, []
        for moment, weight in enumerate(arriving.tolist()):
            if u >= p.threshold:
                found.append(moment * step)
                u -= p.delta_threshold
            v += weight
            u, v = u + step * (v - u / (2 * p.tau_s)), v - step * v / p.tau_s
        assert found[: p.max_spikes] == pytest.approx(train.times, abs=100 * step), index
        assert (len(found) > p.max_spikes) == train.overflow


def test_dense_is_a_product_and_convolution_slides():
    random = np.random.default_rng(0)
    image, kernel = random.random((1, 3, 4, 2, 2)), random.normal(3, 4, (2, 3, 2, 5))
    p = problems.Problem(image, kernel, 0.1, 0.1, 0.1, 1.0, 4)
    times, counts, _ = oracle.spikes(p)
    assert times.shape == (1, 2, 2, 5, 4) and counts.any()
    patch = image[:, 1:3, 1:4].reshape(1, 1, 1, 12, 2)
    dense = problems.Problem(patch, kernel.reshape(1, 1, 12, 5), 0.1, 0.1, 0.1, 1.0, 4)
    np.testing.assert_array_equal(oracle.spikes(dense)[0][0, 0, 0], times[0, 1, 1])


def test_differences_of_a_polynomial():
    p = problems.Problem(np.zeros((1, 1, 1, 1, 2)), np.array([[[[2.0, 3.0]]]]), 5.0, 1.0, 1.0, 1.0, 1)
    found = oracle.differences(lambda q: (q.kernel**3).sum() * q.threshold, p, "kernel", 0.01)
    np.testing.assert_allclose(found.ravel(), [60.0, 135.0], rtol=1e-10)
    assert oracle.differences(lambda q: (q.kernel**3).sum() * q.threshold, p, "threshold", 0.01) == pytest.approx(35)
