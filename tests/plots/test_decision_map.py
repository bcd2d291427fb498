import numpy as np
import pytest
from matplotlib.colors import to_rgba_array

from ttfs_keras.plots import decision_map
from ttfs_keras.plots.decision_map import COLORS

POINTS, LABELS = np.array([[0.1, 0.2], [0.9, 0.4], [0.5, 0.5]]), np.array([0, 2, 1])


def test_areas_and_points_have_the_colours_of_their_classes(tmp_path, figure_of, drawn):
    answers = np.arange(16).reshape(4, 4) % 3
    path = tmp_path / "map.png"
    assert decision_map(answers, POINTS, LABELS, path, high=2.0) == path
    figure_of(path)
    (axes,) = drawn[0].axes
    (image,), (dots,) = axes.images, axes.collections
    np.testing.assert_array_equal(image.get_array(), answers)
    assert image.origin == "lower" and image.get_extent() == [0, 2, 0, 2]
    np.testing.assert_array_equal(dots.get_offsets(), POINTS)
    np.testing.assert_array_equal(dots.get_array(), LABELS)
    np.testing.assert_array_equal(dots.get_facecolor(), to_rgba_array([COLORS[label] for label in LABELS]))
    np.testing.assert_allclose(image.to_rgba(LABELS, alpha=1), dots.get_facecolor())
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")


@pytest.mark.parametrize(
    ("answers", "points", "labels", "message"),
    [
        (np.zeros((2, 3), int), POINTS, LABELS, r"Received: shapes \(2, 3\), \(3, 2\) and \(3,\)"),
        (np.zeros((0, 0), int), POINTS, LABELS, "Expected answers"),
        (np.zeros((2, 2), int), POINTS.T, LABELS, "Expected answers"),
        (np.zeros((2, 2), int), POINTS, LABELS[:2], "Expected answers"),
        (np.full((2, 2), 8), POINTS, LABELS, r"Expected classes from 0 to 7\. Received: \[0, 1, 2, 8\]"),
        (np.zeros((2, 2), int), POINTS, -LABELS, "Expected classes"),
    ],
)
def test_bad_input_leaves_the_old_figure(tmp_path, answers, points, labels, message):
    path = tmp_path / "map.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=message):
        decision_map(answers, points, labels, path)
    assert path.read_bytes() == b"old"


def test_full_disk_leaves_the_old_figure(tmp_path, broken_disk):
    path = tmp_path / "map.png"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space"):
        decision_map(np.zeros((2, 2), int), POINTS, LABELS, path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
