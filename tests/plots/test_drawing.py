import sys

import numpy as np
import pytest

from ttfs_keras.plots import drawing

WINDOWS = {"a": (0.0, 1.0)}


def test_layer_spikes_flattens_and_splits_silence_from_spikes():
    (layer,) = drawing.layer_spikes({"a": np.array([[0.5, np.inf], [np.inf, 0.25]])}, {**WINDOWS, "unused": (5.0, 6.0)})
    assert layer.window == (0.0, 1.0)
    assert layer.fired.tolist() == [0.5, 0.25]
    assert layer.silent_share == 0.5


@pytest.mark.parametrize(
    ("times", "windows", "message"),
    [
        ({}, WINDOWS, "Expected at least one layer's spike times. Received: times={}"),
        ({"b": np.zeros(3)}, WINDOWS, r"Missing: \['b'\]"),
        ({"a": np.zeros((0, 3))}, WINDOWS, r"at least one neuron in layer 'a'. Received: shape=\(0, 3\)"),
        ({"a": np.array([0.5, np.nan])}, WINDOWS, "1 NaN and 0 -inf"),
        ({"a": np.array([0.5, -np.inf])}, WINDOWS, "0 NaN and 1 -inf"),
        ({"a": np.zeros(3)}, {"a": (1.0, 0.0)}, "t_min <= t_max"),
        ({"a": np.zeros(3)}, {"a": (0.0, np.inf)}, "finite window"),
    ],
)
def test_layer_spikes_refuses_what_it_cannot_draw(times, windows, message):
    with pytest.raises(ValueError, match=message):
        drawing.layer_spikes(times, windows)


def test_time_limits_hold_windows_and_early_spikes():
    layers = drawing.layer_spikes({"a": np.array([-3.0, np.inf])}, WINDOWS)
    first, last = drawing.time_limits(layers)
    assert first < -3.0 and last > 1.0


def test_time_limits_of_a_single_moment_have_a_width():
    first, last = drawing.time_limits(drawing.layer_spikes({"a": np.array([np.inf])}, {"a": (2.0, 2.0)}))
    assert first < 2.0 < last


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0.0%"), (0.0001, "<0.1%"), (0.25, "25.0%"), (0.9999, ">99.9%"), (1, "100.0%")]
)
def test_percent_rounds_neither_to_none_nor_to_all(share, text):
    assert drawing.percent(share) == text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("conv1", "conv1"),
        ("_hidden", " _hidden"),
        ("a$b$", r"a\$b\$"),
        ("a" * 40 + "z" * 40, "a" * 16 + "…" + "z" * 15),
    ],
)
def test_label(name, shown):
    assert drawing.label(name) == shown


def test_drawing_needs_no_pyplot(tmp_path):
    imported = "matplotlib.pyplot" in sys.modules
    drawing.save_png(drawing.new_figure(1.0), tmp_path / "empty.png")
    assert imported or "matplotlib.pyplot" not in sys.modules
