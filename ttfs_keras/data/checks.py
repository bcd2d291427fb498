"""What every file of images and labels must pass before it is used."""

from typing import NamedTuple

import numpy as np

from ttfs_keras.errors import DataError


class Splits(NamedTuple):
    """Pixels (n, height, width, channels) in 0..255 and labels (n,) int64 of the training and the test part.

    Where a data set comes with validation images, those too.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    x_validation: np.ndarray | None = None
    y_validation: np.ndarray | None = None


def images(array: np.ndarray, image_shape: tuple[int, int, int], where: str) -> np.ndarray:
    """Return `array` as (n, height, width, channels), values untouched.

    Args:
        array: (n, height, width, channels); one channel may be left out.
        image_shape: (height, width, channels) expected.
        where: file (and field) the array came from, for the message.

    Raises:
        DataError: wrong shape, no image, not numbers, not finite, or not pixels in 0..255.
    """
    height, width, channels = image_shape
    if channels == 1 and array.shape[1:] == (height, width):
        array = array[..., np.newaxis]
    if array.shape[1:] != image_shape or len(array) == 0:
        raise DataError(
            f"{where}: expected images of shape (n, {height}, {width}, {channels}), n >= 1. "
            f"Received: shape {array.shape}."
        )
    if array.dtype.kind not in "uif":
        raise DataError(f"{where}: expected pixels as numbers in 0..255. Received: dtype {array.dtype}.")
    if array.dtype == np.uint8:
        return array
    bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    if bad:
        raise DataError(f"{where}: expected finite pixels. Received: {bad} values that are NaN or infinite.")
    low, high = array.min(), array.max()
    if low < 0 or high > 255:
        raise DataError(f"{where}: expected pixels in 0..255. Received: values from {low} to {high}.")
    # Normalising a second time would leave images of almost nothing, which train without complaint.
    if array.dtype.kind == "f" and high <= 1:
        raise DataError(
            f"{where}: expected pixels in 0..255. Received: floats from {low} to {high}, already scaled; "
            "multiply them by 255."
        )
    return array


def labels(array: np.ndarray, classes: int, count: int, where: str) -> np.ndarray:
    """Return `array` as (n,) int64.

    Args:
        array: (n,) or (n, 1).
        classes: labels must be whole numbers in 0..classes-1.
        count: number of images the labels belong to.
        where: file (and field) the array came from, for the message.

    Raises:
        DataError: wrong shape or count, or a label that is not one of the classes.
    """
    if array.shape not in ((count,), (count, 1)):
        raise DataError(f"{where}: expected one label for each of {count} images. Received: shape {array.shape}.")
    if array.dtype.kind not in "uif":
        raise DataError(f"{where}: expected labels as whole numbers. Received: dtype {array.dtype}.")
    array = array.reshape(count)
    wrong = ~((array >= 0) & (array <= classes - 1) & (array == np.floor(array)))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{where}: expected labels in 0..{classes - 1}. Received: {array[first]} at position {first}, "
            f"{np.count_nonzero(wrong)} such labels in all."
        )
    return array.astype(np.int64)
