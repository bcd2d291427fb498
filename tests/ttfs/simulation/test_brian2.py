"""Brian2 knows nothing of this package; it integrates the same differential equations on a clock."""

import keras
import numpy as np
import pytest

import ttfs_keras as tk
from ttfs_keras.ttfs.simulation.simulate import simulate
from ttfs_keras.ttfs.spike_times import spike_times

# Brian2 calls pyparsing by names that pyparsing has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning:(pyparsing|brian2)")

STEP = 1e-3  # Brian2's clock, in window time

MEMBRANE = """
dv/dt = (int(t < opening) * arrived + int(t >= opening))/second : 1
arrived : 1
threshold : 1
spent : 1
"""


def run_brian2(pixels, layers, windows):
    """Return the spike times of layers of B1 neurons, one list per layer, in window time."""
    brian2 = pytest.importorskip("brian2")
    brian2.prefs.codegen.target = "numpy"
    second, clock = brian2.second, brian2.Clock(dt=STEP * brian2.second)
    firing = np.flatnonzero(pixels)
    source = brian2.SpikeGeneratorGroup(len(pixels), firing, (1 - pixels[firing]) * second, clock=clock)
    network, monitors, start = brian2.Network(source), [], 1.0
    for (weights, offsets), width in zip(layers, windows, strict=True):
        group = brian2.NeuronGroup(
            weights.shape[1], MEMBRANE, threshold="v >= threshold and spent < 1 and t < closing", reset="spent = 1",
            method="euler", clock=clock, namespace={"opening": start * second, "closing": (start + width) * second},
        )  # fmt: skip
        group.threshold = width - offsets
        wiring = brian2.Synapses(source, group, "w : 1", on_pre="arrived_post += w", clock=clock)
        wiring.connect()
        wiring.w = weights.ravel()
        monitors.append(brian2.SpikeMonitor(group))
        network.add(group, wiring, monitors[-1])
        source, start = group, start + width
    network.run(start * second)
    found = []
    for monitor, (weights, _) in zip(monitors, layers, strict=True):
        times = np.full(weights.shape[1], np.inf)
        times[monitor.i[:]] = monitor.t / second
        found.append(times)
    return found


def test_spike_times_are_brian2s():
    generator = np.random.default_rng(3)
    pixels = generator.random(6)
    layers = [(generator.normal(0, 0.7, (n, m)), generator.normal(0, 0.1, m)) for n, m in ((6, 8), (8, 5))]
    windows = (0.6, 0.8)
    snn = keras.Sequential([keras.Input((6,), dtype="float64"), tk.TTFSEncoder(dtype="float64")])
    for (weights, offsets), width in zip(layers, windows, strict=True):
        layer = tk.TTFSDense(len(offsets), window=width, dtype="float64")
        snn.add(layer)
        layer.set_weights([weights, offsets, layer.window.numpy()])
    result = simulate(snn, pixels[None])
    times = [result.spike_times[layer.name][0] for layer in snn.layers[1:]]
    assert result.premature_spikes and np.isinf(np.concatenate(times)).any(), "the case is worth the comparison"
    late = 0.0
    for found, expected, (weights, _) in zip(run_brian2(pixels, layers, windows), times, layers, strict=True):
        # Every spike waits for the clock twice, once to leave and once to be integrated; membranes pass that on.
        late = (late + 2 * STEP) * (1 + np.abs(weights).sum(axis=0).max())
        np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))
        np.testing.assert_allclose(found[np.isfinite(found)], expected[np.isfinite(found)], rtol=0, atol=late)
    first = snn.layers[1].name
    assert not np.array_equal(spike_times(snn, pixels[None])[first], result.spike_times[first])
