import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import ttfs_keras as tk
from tests.conversion.graphs import Graph
from tests.conversion.sources import PROPERTY, RANGES, TOLERANCE, error, images, spiking
from tests.tolerances import SIMULATOR
from ttfs_keras.network.graph import evaluate
from ttfs_keras.ttfs.windows import Clip


def example(data, dtype="float64", samples=6):
    """Return a random graph, an input range and inputs."""
    input_range = data.draw(st.sampled_from(RANGES))
    model = Graph(data.draw, dtype).model()
    return model, input_range, images(model, input_range, samples)


@PROPERTY
@given(st.data(), st.sampled_from((1, 6)), st.floats(0, 2))
def test_random_graphs_are_exact_and_nothing_fires_early_or_saturates(data, samples, margin):
    model, input_range, x = example(data, samples=samples)
    before = model.get_weights()
    snn = tk.convert(model, x, input_range, margin, verification=False)
    assert error(model, snn, x) <= TOLERANCE["float64"]
    report = tk.verify(snn, model, x, tolerance=TOLERANCE["float64"])
    assert report.passed and report.premature_spikes == report.saturated_spikes == 0, report
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@PROPERTY
@given(st.data())
def test_random_graphs_in_float32_are_exact_to_rounding(data):
    model, input_range, x = example(data, "float32")
    assert error(model, tk.convert(model, x, input_range, verification=False), x) <= TOLERANCE["float32"]


@PROPERTY
@given(st.data(), st.sampled_from(("unit", "shared")))
def test_windows_of_one_width_give_the_same_outputs(data, windows):
    model, input_range, x = example(data)
    snn = tk.convert(model, x, input_range, windows=windows, verification=False)
    assert error(model, snn, x) <= TOLERANCE["float64"]
    assert tk.verify(snn, model, x, tolerance=TOLERANCE["float64"]).passed
    widths = [
        float(layer.window)
        for layer in spiking(snn)
        if not isinstance(getattr(layer, "neuron", layer).window_rule, Clip)
    ]
    np.testing.assert_allclose(widths, 1 if windows == "unit" else max(widths, default=1), rtol=1e-12)


@PROPERTY
@given(st.data())
def test_data_free_windows_hold_whatever_the_input(data):
    model, input_range, x = example(data, samples=1)
    snn = tk.convert(model, x, input_range, data_free=True, verification=False)
    fresh = images(model, input_range, samples=16, seed=data.draw(st.integers(0, 99)))
    report = tk.verify(snn, model, fresh, tolerance=TOLERANCE["float64"])
    assert report.passed and report.premature_spikes == report.saturated_spikes == 0, report


@PROPERTY
@given(st.data(), st.sampled_from(("layer", "unit")))
def test_the_simulator_agrees_on_random_graphs(data, windows):
    model, input_range, x = example(data, samples=3)
    snn = tk.convert(model, x, input_range, windows=windows, verification=False)
    simulation = tk.simulate(snn, x, armed=True)
    outputs = simulation.outputs if len(model.outputs) > 1 else [simulation.outputs]
    for received, expected in zip(outputs, evaluate(model, batch(model, x)), strict=True):
        assert np.abs(received - expected).max() <= SIMULATOR * max(1, np.abs(expected).max())
    for name, times in tk.spike_times(snn, x).items():
        spikes = np.isfinite(times)
        np.testing.assert_array_equal(spikes, np.isfinite(simulation.spike_times[name]), err_msg=name)
        np.testing.assert_allclose(times[spikes], simulation.spike_times[name][spikes], rtol=SIMULATOR, err_msg=name)


def batch(model, x):
    """Return inputs as a list."""
    return list(x) if len(model.inputs) > 1 else [x]
