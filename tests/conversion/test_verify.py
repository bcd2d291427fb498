import json

import keras
import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import FLATTEN, conv, dense, images, norm, pool, sequential
from tests.tolerances import FLOAT64


def chain(**arguments):
    return sequential(
        (5, 5, 2), conv(3, padding="same"), norm(), pool(), conv(4, kernel_size=2), FLATTEN,
        dense(6, activation="relu"), dense(4), **arguments,
    )  # fmt: skip


def late_inhibition():
    """One neuron, z = x_1 - x_2: excited by the earlier spike, inhibited by the later one."""
    model = sequential((2,), dense(1, activation="relu", name="hidden"), dense(2, name="end"))
    model.layers[0].set_weights([np.array([[1.0], [-1.0]]), np.zeros(1)])
    return model


def test_premature_spikes_are_counted_on_other_data():
    model = late_inhibition()
    snn = tk.convert(model, np.array([[0.2, 0.0]]), margin=0.0)  # a window of 0.2
    report = tk.verify(snn, model, np.array([[0.9, 0.8], [0.9, 0.1], [0.15, 0.1], [0.1, 0.9]]))
    (hidden,) = report.layers
    # 0.9 against 0.8: excited 0.1 before, never above 0.2. 0.9 against 0.1: above 0.2 even when the window opens.
    assert (hidden.premature_spikes, hidden.saturated_spikes) == (0, 1)
    model.layers[0].set_weights([np.array([[1.0], [-2.0]]), np.zeros(1)])
    snn = tk.convert(model, np.array([[0.2, 0.0]]), margin=0.0)
    # 0.4 at s = 0.5, 0 when the window opens
    report = tk.verify(snn, model, np.array([[0.9, 0.5]]))
    assert (report.premature_spikes, report.saturated_spikes) == (1, 0) and not report.passed
    assert report.max_abs_error < FLOAT64


def test_saturated_spikes_are_counted_beyond_the_calibration():
    model = sequential((1,), dense(1, activation="relu"), dense(2))
    model.layers[0].set_weights([np.ones((1, 1)), np.zeros(1)])
    snn = tk.convert(model, np.full((4, 1), 0.5), margin=0.2)
    report = tk.verify(snn, model, np.linspace(0, 1, 11)[:, None])
    assert (report.premature_spikes, report.saturated_spikes) == (0, 4) and not report.passed


@pytest.mark.parametrize("seed", range(3))
def test_counts_agree_with_the_simulator(seed):
    model = chain(seed=seed)
    snn = tk.convert(model, images(model, samples=2) * 0.5, margin=0.0)
    x = images(model, samples=12, seed=seed + 5)
    report, simulation = tk.verify(snn, model, x), tk.simulate(snn, x, armed=True)
    assert report.saturated_spikes == simulation.saturated_spikes > 0
    assert report.premature_spikes == simulation.premature_spikes - simulation.saturated_spikes
    for layer in report.layers:
        early, full = (counts[layer.name] for counts in (simulation.premature_by_layer, simulation.saturated_by_layer))
        assert (layer.premature_spikes, layer.saturated_spikes) == (early - full, full)


def test_simulator_sees_the_exact_network_too():
    model = chain()
    x = images(model)
    simulation = tk.simulate(tk.convert(model, x), x)
    np.testing.assert_allclose(simulation.outputs, model(x), atol=1e-9)
    assert simulation.premature_spikes == simulation.saturated_spikes == 0


def test_layers_have_the_names_and_activations_of_the_source():
    model = chain()
    report = tk.verify(tk.convert(model, images(model)), model, images(model, samples=40)[:6])
    assert [layer.name for layer in report.layers] == ["conv2d_0", "conv2d_3", "dense_5"]
    assert all(layer.max_abs_error < 1e-12 and 0 < layer.spikes_per_neuron <= 1 for layer in report.layers)
    assert report.samples == 6 and report.agreement == 1


@pytest.mark.parametrize("broken", ["conv2d_0", "conv2d_3", "dense_5"])
def test_first_layer_with_an_error_is_the_broken_one(broken):
    model = chain()
    x = images(model)
    snn = tk.convert(model, x)
    kernel = snn.get_layer(broken).kernel
    kernel.assign(kernel * 0.9)
    report = tk.verify(snn, model, x)
    assert not report.passed
    assert next(layer.name for layer in report.layers if layer.max_abs_error > 1e-9) == broken


def test_clipped_layers_do_not_saturate():
    model = sequential((3,), dense(9), (layers.ReLU, {"max_value": 0.2, "name": "clip"}), dense())
    x = images(model)
    for windows in ("layer", "shared", "unit"):
        report = tk.verify(tk.convert(model, x[:1], windows=windows), model, x)
        assert report.passed and report.saturated_spikes == 0


def test_report_as_text_and_json(tmp_path):
    model = chain()
    x = images(model)
    report = tk.verify(tk.convert(model, x), model, x)
    table = str(report).splitlines()
    assert table[0].startswith("passed: ") and [row.split()[0] for row in table[2:]] == [r.name for r in report.layers]
    text = report.to_json(tmp_path / "report.json")
    assert json.loads(text) == json.loads((tmp_path / "report.json").read_text())
    assert json.loads(text)["layers"][0]["name"] == "conv2d_0" and json.loads(text)["passed"] is True


def test_tolerance_decides():
    model = chain()
    x = images(model)
    snn = tk.convert(model, x)
    bias = snn.layers[-1].bias
    bias.assign(bias + 1e-6)
    assert tk.verify(snn, model, x).passed
    assert not tk.verify(snn, model, x, tolerance=1e-9).passed


def test_no_samples():
    model = chain()
    with pytest.raises(ValueError, match="at least one sample"):
        tk.verify(tk.convert(model, images(model)), model, np.zeros((0, 5, 5, 2)))


def test_nan_never_passes():
    model = chain()
    x = images(model, samples=40)
    snn = tk.convert(model, x)
    broken = keras.models.clone_model(model)
    broken.set_weights(model.get_weights())
    x[-1] = np.nan
    try:
        report = tk.verify(snn, broken, x)
    except ValueError:
        return
    assert not report.passed
