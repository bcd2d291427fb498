"""Brian2 knows nothing of this package; it integrates the same differential equations on a clock."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.bats import oracle, problems, tolerances
from ttfs_keras.ops import reference

# Brian2 calls pyparsing by names that pyparsing has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning:(pyparsing|brian2)")

MEMBRANE = """
du/dt = -u/(2*tau_s) + v : 1
dv/dt = -v/tau_s : Hz
"""


@pytest.fixture(params=[reference], ids=["reference"])
def ops(request):
    return request.param


def run_brian2(problem, step):
    """Return the spike times of every neuron of a layer, by its index; inputs are multiples of `step`."""
    brian2 = pytest.importorskip("brian2")
    brian2.prefs.codegen.target = "numpy"
    p, second = problem, brian2.second
    clock = brian2.Clock(dt=step * second)
    pixels = p.times.reshape(-1, p.times.shape[-1])  # one neuron for each input train
    source, slot = np.nonzero(np.isfinite(pixels))
    inputs = brian2.SpikeGeneratorGroup(len(pixels), source, pixels[source, slot] * second, clock=clock)
    indices = [index for index, _, _ in oracle.neurons(p)]
    layer = brian2.NeuronGroup(
        len(indices), MEMBRANE, threshold="u >= theta", reset="u -= delta", method="exact", clock=clock,
        namespace={"tau_s": p.tau_s * second, "theta": p.threshold, "delta": p.delta_threshold},
    )  # fmt: skip
    pre, post, weights = [], [], []
    number = np.arange(len(pixels)).reshape(p.times.shape[:4])
    for neuron, (sample, y, x, unit) in enumerate(indices):
        for (dy, dx, channel), weight in np.ndenumerate(p.kernel[..., unit]):
            pre.append(number[sample, y + dy, x + dx, channel])
            post.append(neuron)
            weights.append(weight)
    wiring = brian2.Synapses(inputs, layer, "w : Hz", on_pre="v_post += w", clock=clock)
    wiring.connect(i=pre, j=post)
    wiring.w = np.array(weights) * brian2.Hz
    monitor = brian2.SpikeMonitor(layer)
    brian2.Network(inputs, layer, wiring, monitor).run(p.simulation_time * second)
    trains = monitor.spike_trains()
    return {index: np.asarray(trains[neuron] / second) for neuron, index in enumerate(indices)}


def lateness(train, problem, step):
    """Return how late, to first order, spikes on a clock can be: a step to notice, and late resets before."""
    late, tau = [], 2 * problem.tau_s
    for time, slope in zip(train.times, train.slopes, strict=True):
        resets = sum(delay * math.exp((t - time) / tau) for delay, t in zip(late, train.times, strict=False))
        late.append(step + problem.delta_threshold / tau * resets / slope)
    return np.array(late)


@pytest.mark.parametrize("name", ["dense", "full trains", "convolution"])
def test_trains_are_brian2s(ops, name):
    problem = problems.CASES[name]
    step = tolerances.BRIAN2_STEP * problem.simulation_time
    # On the clock, so that Brian2 has no delay of its own.
    problem = replace(problem, times=np.round(problem.times / step) * step)
    times, counts, overflow = ops.spikes(**problem.tensors(), max_spikes=problem.max_spikes)
    expected, trains = run_brian2(problem, step), oracle.trains(problem)
    assert counts.numpy().max() > 1, "the case is worth the comparison"
    assert overflow == sum(len(train) > problem.max_spikes for train in expected.values())
    for index, train in expected.items():
        train = train[: problem.max_spikes]
        assert counts[index] == len(train)
        late = train - times[index][: len(train)].numpy()
        bound = tolerances.SECOND_ORDER * lateness(trains[index], problem, step)
        assert (late > -step / 100).all() and (late < bound).all()
