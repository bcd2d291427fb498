import numpy as np
import pytest

from ttfs_keras.plots import spike_time_histogram


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def test_sixteen_layers_have_a_row_each(tmp_path, figure_of, drawn, deep_network):
    path = tmp_path / "folder" / "times.png"
    assert spike_time_histogram(*deep_network, path) == path
    pixels = figure_of(path)
    assert pixels.shape[0] > pixels.shape[1], "the figure grows with the layers"
    (figure,) = drawn
    assert len(figure.axes) == 16
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    assert "outside" not in "".join(titles(figure))


def test_every_spike_inside_the_window_is_in_a_bar(tmp_path, drawn, deep_network):
    times, windows = deep_network
    spike_time_histogram(times, windows, tmp_path / "times.png")
    for axes, layer_times in zip(drawn[0].axes, times.values(), strict=True):
        (bars,) = (patch for patch in axes.patches if hasattr(patch, "get_data"))
        assert bars.get_data().values.sum() == np.isfinite(layer_times).sum()


def test_silence_rounding_and_spikes_outside(tmp_path, figure_of, drawn):
    times = {
        "silent": np.full((2, 3), np.inf),
        "one": np.array([1.5]),
        "rounded": np.array([2.0 - 1e-9, 3.0 + 1e-9, 2.5, np.inf]),
        "premature": np.array([1.0, 3.5, 9.0, np.inf]),
    }
    windows = {"silent": (0.0, 1.0), "one": (1.0, 2.0), "rounded": (2.0, 3.0), "premature": (3.0, 4.0)}
    spike_time_histogram(times, windows, tmp_path / "times.png")
    figure_of(tmp_path / "times.png")
    assert titles(drawn[0]) == [
        "silent: 100.0% silent",
        "one: 0.0% silent",
        "rounded: 25.0% silent",
        "premature: 25.0% silent, 2 outside the window",
    ]
    # Marks on the axis, one for each spike outside.
    assert [len(axes.lines) for axes in drawn[0].axes] == [0, 0, 0, 1]
    assert drawn[0].axes[3].lines[0].get_xdata() == pytest.approx([1.0, 9.0], abs=0.01)


def test_only_a_silent_layer_with_a_window_without_width(tmp_path, figure_of):
    spike_time_histogram({"dead": np.array([np.inf])}, {"dead": (1e6, 1e6)}, tmp_path / "times.png")
    figure_of(tmp_path / "times.png")


@pytest.mark.parametrize("times", [{}, {"a": np.array([np.nan])}, {"b": np.zeros(1)}])
def test_bad_input_leaves_the_old_figure(tmp_path, times):
    path = tmp_path / "times.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="Expected"):
        spike_time_histogram(times, {"a": (0.0, 1.0)}, path)
    assert path.read_bytes() == b"old"


def test_full_disk_leaves_the_old_figure(tmp_path, broken_disk):
    path = tmp_path / "times.png"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space"):
        spike_time_histogram({"a": np.zeros(1)}, {"a": (0.0, 1.0)}, path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
