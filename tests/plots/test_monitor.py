import numpy as np
import pytest

from ttfs_keras.plots import monitor


@pytest.mark.parametrize("values", [[0.5, 0.75, 0.9], [1.0], [0.5, np.nan, 0.25], [np.nan, np.nan]])
def test_values_over_epochs(tmp_path, figure_of, drawn, values):
    epochs, path = np.arange(1, 1 + len(values)), tmp_path / "loss.png"
    assert monitor(epochs, values, "val_hidden_1_spikes", path) == path
    figure_of(path)
    (axes,) = drawn[0].axes
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xdata(), epochs)
    np.testing.assert_array_equal(line.get_ydata(), values)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "val_hidden_1_spikes")


def test_names_are_never_formulas(tmp_path, figure_of, drawn):
    monitor([1], [0.0], "a$b$c", tmp_path / "a.png")
    figure_of(tmp_path / "a.png")
    assert drawn[0].axes[0].get_ylabel() == r"a\$b\$c"


@pytest.mark.parametrize(("epochs", "values"), [([], []), ([1, 2], [0.5])])
def test_bad_input_leaves_the_old_figure(tmp_path, epochs, values):
    path = tmp_path / "loss.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=f"Received: {len(epochs)}, {len(values)}"):
        monitor(epochs, values, "loss", path)
    assert path.read_bytes() == b"old"


def test_full_disk_leaves_the_old_figure(tmp_path, broken_disk):
    path = tmp_path / "loss.png"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space"):
        monitor([1], [0.5], "loss", path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
