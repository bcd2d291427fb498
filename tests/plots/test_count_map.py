import numpy as np
import pytest

from ttfs_keras.plots import count_map


def test_counts_by_class(tmp_path, figure_of, drawn):
    counts = np.random.default_rng(0).uniform(0, 30, (10, 800))
    path = tmp_path / "map.png"
    assert count_map(counts, "hidden_1", path) == path
    figure_of(path)
    axes, bar = drawn[0].axes
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array(), counts)
    assert image.get_clim() == (0, counts.max())
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("neuron of hidden_1", "class")
    assert bar.get_ylabel() == "spikes per image"


@pytest.mark.parametrize("counts", [[[0.0]], [[0.0, 0], [0, 0]], [[np.nan, np.nan], [2, 3]], [[np.nan, np.nan]]])
def test_silence_and_classes_without_images(tmp_path, figure_of, counts):
    count_map(counts, "output", tmp_path / "map.png")
    figure_of(tmp_path / "map.png")


@pytest.mark.parametrize("shape", [(), (3,), (3, 0), (0, 3), (2, 3, 4)])
def test_bad_input_leaves_the_old_figure(tmp_path, shape):
    path = tmp_path / "map.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=r"Expected counts \(classes, neurons\).* Received: shape="):
        count_map(np.zeros(shape), "output", path)
    assert path.read_bytes() == b"old"


def test_full_disk_leaves_the_old_figure(tmp_path, broken_disk):
    path = tmp_path / "map.png"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space"):
        count_map(np.zeros((2, 3)), "output", path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
