import numpy as np
import pytest

from ttfs_keras.plots import train_raster

INF = np.inf


def test_each_spike_is_a_mark_in_its_layers_panel(tmp_path, figure_of, drawn):
    trains = {
        "map": np.array([[[[0.01, 0.03]], [[INF, INF]]]]),  # (1, 2, 1, 2)
        "silent": np.full((3, 4), INF),
        "output": np.array([[INF], [0.05]]),
    }
    path = tmp_path / "raster.png"
    assert train_raster(trains, path) == path
    figure_of(path)
    marks = [np.sort(axes.lines[0].get_xydata(), axis=0).tolist() for axes in drawn[0].axes]
    assert marks == [[[10, 0], [30, 0]], [], [[50, 1]]]
    assert [axes.get_ylabel() for axes in drawn[0].axes] == ["map\n2 spikes", "silent\n0 spikes", "output\n1 spikes"]
    assert [axes.get_xlabel() for axes in drawn[0].axes] == ["", "", "time (ms)"]
    low, high = drawn[0].axes[1].get_ylim()
    assert (low, high) == (2.5, -0.5)  # the first neuron on top


def test_a_large_network(tmp_path, figure_of):
    random = np.random.default_rng(0)
    trains = {f"layer {k}": np.where(random.random((900, 30)) < 0.1, random.random((900, 30)), INF) for k in range(6)}
    train_raster(trains, tmp_path / "raster.png")
    pixels = figure_of(tmp_path / "raster.png")
    train_raster({"layer 0": trains["layer 0"]}, tmp_path / "raster.png")
    assert figure_of(tmp_path / "raster.png").shape[0] < pixels.shape[0], "the figure grows with the layers"


@pytest.mark.parametrize(
    ("trains", "message"),
    [
        ({}, "at least one layer's spike trains"),
        ({"a": np.array([[np.nan]])}, "in layer 'a'. Received: NaN or -inf"),
        ({"b": np.array([[-INF]])}, "in layer 'b'. Received: NaN or -inf"),
        (
            {"c": np.zeros((0, 3))},
            r"neurons\.\.\., max_spikes\) of at least one neuron in layer 'c'. Received: shape=\(0, 3\)",
        ),
        ({"d": np.zeros((3, 0))}, r"layer 'd'. Received: shape=\(3, 0\)"),
        ({"e": np.zeros(3)}, r"layer 'e'. Received: shape=\(3,\)"),
    ],
)
def test_bad_input_leaves_the_old_figure(tmp_path, trains, message):
    path = tmp_path / "raster.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=message):
        train_raster(trains, path)
    assert path.read_bytes() == b"old"


def test_full_disk_leaves_the_old_figure(tmp_path, broken_disk):
    path = tmp_path / "raster.png"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space"):
        train_raster({"a": np.zeros((1, 1))}, path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
