import numpy as np
import pytest

from ttfs_keras.data import checks
from ttfs_keras.errors import DataError

_SHAPE = (4, 4, 1)


def test_one_channel_may_be_left_out():
    assert checks.images(np.zeros((3, 4, 4), np.uint8), _SHAPE, "file").shape == (3, 4, 4, 1)
    assert checks.images(np.zeros((3, 4, 4, 1), np.uint8), _SHAPE, "file").shape == (3, 4, 4, 1)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4, 5), np.uint8), r"file: expected images of shape \(n, 4, 4, 1\).*Received: shape \(3, 4, 5\)"),
        (np.zeros((0, 4, 4), np.uint8), r"n >= 1.*\(0, 4, 4, 1\)"),
        (np.zeros(16, np.uint8), r"shape \(16,\)"),
        (np.zeros((3, 4, 4), "U1"), "dtype <U1"),
        (np.full((1, 4, 4), np.nan), "finite.*16 values"),
        (np.full((1, 4, 4), -1), "values from -1 to -1"),
        (np.full((1, 4, 4), 256.0), "values from 256.0"),
        (np.full((1, 4, 4), 0.5), "already scaled"),
    ],
)
def test_images_refused(array, message):
    with pytest.raises(DataError, match=message):
        checks.images(array, _SHAPE, "file")


def test_labels_become_one_column_of_int64():
    y = checks.labels(np.array([[0.0], [2.0]]), 3, 2, "file")
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y, [0, 2])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([0, 1]), r"each of 3 images. Received: shape \(2,\)"),
        (np.zeros((3, 10)), r"shape \(3, 10\)"),
        (np.array([0, 1, 3]), r"labels in 0..2. Received: 3 at position 2, 1 such"),
        (np.array([0, -1, -1]), "Received: -1 at position 1, 2 such"),
        (np.array([0, 1, np.nan]), "nan at position 2"),
        (np.array([0, 0.5, 1]), "0.5 at position 1"),
        (np.array(["a", "b", "c"]), "dtype <U1"),
    ],
)
def test_labels_refused(array, message):
    with pytest.raises(DataError, match=message):
        checks.labels(array, 3, 3, "file")
