import numpy as np
import pytest

from ttfs_keras.plots import spike_raster


def labels(figure):
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


def test_sixteen_layers(tmp_path, figure_of, drawn, deep_network):
    path = tmp_path / "raster.png"
    assert spike_raster(*deep_network, path) == path
    pixels = figure_of(path)
    assert pixels.shape[0] > pixels.shape[1], "the figure grows with the layers"
    assert labels(drawn[0]) == [
        f"conv{layer}\n500 of 1,024 neurons" if layer < 12 else f"conv{layer}\n20 neurons" for layer in range(16)
    ]
    assert len(drawn[0].axes[0].patches) == 16


def test_each_spike_is_a_mark_in_its_layers_band(tmp_path, figure_of, drawn):
    times = {
        "map": np.array([[0.25, np.inf], [np.inf, 0.75]]),
        "silent": np.full(3, np.inf),
        "one": np.array([2.5]),
    }
    spike_raster(times, {"map": (0.0, 1.0), "silent": (1.0, 2.0), "one": (2.0, 3.0)}, tmp_path / "raster.png")
    figure_of(tmp_path / "raster.png")
    marks = [line.get_xydata().tolist() for line in drawn[0].axes[0].lines if line.get_marker() == "|"]
    assert marks == [[[0.25, 0.125], [0.75, 0.875]], [], [[2.5, 2.5]]]
    assert labels(drawn[0]) == ["map\n4 neurons", "silent\n3 neurons", "one\n1 neuron"]


@pytest.mark.parametrize(("neurons", "shown"), [(500, 500), (501, 500), (70_000, 500)])
def test_large_layers_are_sampled_from_first_to_last(tmp_path, drawn, neurons, shown):
    spike_raster({"a": np.arange(float(neurons))}, {"a": (0.0, float(neurons))}, tmp_path / "raster.png")
    (marks,) = drawn[0].axes[0].lines
    drawn_times = marks.get_xdata()
    assert len(drawn_times) == shown
    assert drawn_times[0] == 0 and drawn_times[-1] == neurons - 1
    assert np.ptp(np.diff(drawn_times)) <= 1


@pytest.mark.parametrize("times", [{}, {"a": np.array([-np.inf])}, {"b": np.zeros(1)}])
def test_bad_input_leaves_the_old_figure(tmp_path, times):
    path = tmp_path / "raster.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="Expected"):
        spike_raster(times, {"a": (0.0, 1.0)}, path)
    assert path.read_bytes() == b"old"


def test_full_disk_leaves_the_old_figure(tmp_path, broken_disk):
    path = tmp_path / "raster.png"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space"):
        spike_raster({"a": np.zeros(1)}, {"a": (0.0, 1.0)}, path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
