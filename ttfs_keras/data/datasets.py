"""Data sets by name, normalised and ready to train on."""

import dataclasses
from pathlib import Path

import numpy as np

from ttfs_keras.data import digits, sources, yin_yang
from ttfs_keras.data.specs import spec
from ttfs_keras.errors import DataError


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of one data set.

    Args:
        name: name it was loaded by.
        x_train, x_test: (n, height, width, channels), normalised to values in `input_range`.
        y_train, y_test: (n,) int64, 0..classes-1.
        classes: number of classes.
        input_range: (p, q), the interval of the normalised values.
        image_shape: (height, width, channels).
        source: where it was found: "embedded", "generated", a path, or the tensorflow_datasets name.
        x_validation, y_validation: as the test part, of a data set that comes with validation images, else None.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: int
    input_range: tuple[float, float]
    image_shape: tuple[int, int, int]
    source: str
    x_validation: np.ndarray | None = None
    y_validation: np.ndarray | None = None


# What needs no files.
_OWN = {"DIGITS": (digits.read, "embedded"), "YINYANG": (yin_yang.read, "generated")}


def load(
    name: str,
    data_dir: str | Path | None = None,
    train_samples: int | None = None,
    test_samples: int | None = None,
    dtype: str | np.dtype = "float32",
) -> Dataset:
    """Return the data set `name` from the first place that has it.

    DIGITS is embedded, YINYANG generated. The others come from `data_dir`, the Keras cache, the folder of Debian's
    package, or tensorflow_datasets, which downloads. EMNIST is the balanced split, turned upright.

    Args:
        name: one of `names()`.
        data_dir: folder with `<name>.npz` as Keras ships mnist.npz, idx files, CIFAR's binary batches, or a
            tensorflow_datasets directory. MNIST and FMNIST share the names of their idx files: give the folder that
            holds the right ones.
        train_samples: training samples to keep, from the first; None keeps all.
        test_samples: the same for the test part.
        dtype: floating type of the images.

    Raises:
        DataError: unknown name, `data_dir` not a folder, a file truncated, corrupt, of wrong shape, or with
            pixels or labels out of range, more samples asked for than there are, or nothing found; then the message
            lists every place tried.

    Example:
        >>> from ttfs_keras.data import load
        >>> digits = load("DIGITS", train_samples=100)
        >>> digits.x_train.shape, digits.input_range
        ((100, 28, 28, 1), (0.0, 1.0))
    """
    entry = spec(name)
    try:
        floating = np.dtype(dtype)
    except TypeError:
        floating = np.dtype("V")
    if floating.kind != "f":
        raise DataError(f"Expected dtype to be a floating type such as 'float32'. Received: dtype={dtype!r}.")
    for argument, count in (("train_samples", train_samples), ("test_samples", test_samples)):
        if count is not None and (not isinstance(count, int | np.integer) or isinstance(count, bool) or count < 1):
            raise DataError(f"Expected {argument} to be an integer of at least 1. Received: {argument}={count!r}.")
    # Without this check a mistyped folder would go unnoticed where the data set needs none.
    sources.require_folder(data_dir)
    if name in _OWN:
        read, source = _OWN[name]
        splits = read()
    else:
        splits, source = sources.find(entry, data_dir)
    for argument, count, y in (
        ("train_samples", train_samples, splits.y_train),
        ("test_samples", test_samples, splits.y_test),
    ):
        if count is not None and count > len(y):
            raise DataError(
                f"Expected {argument} to be at most {len(y)}, all that {name} has ({source}). "
                f"Received: {argument}={count}."
            )
    return Dataset(
        name=name,
        x_train=entry.normalise(splits.x_train[:train_samples], floating),
        y_train=splits.y_train[:train_samples],
        x_test=entry.normalise(splits.x_test[:test_samples], floating),
        y_test=splits.y_test[:test_samples],
        classes=entry.classes,
        input_range=entry.input_range,
        image_shape=entry.image_shape,
        source=source,
        x_validation=None if splits.x_validation is None else entry.normalise(splits.x_validation, floating),
        y_validation=splits.y_validation,
    )
