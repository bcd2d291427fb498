"""The Yin-Yang data set, drawn anew from its definition: points in a disc, to be told apart as yin, yang or dot."""

import numpy as np

from ttfs_keras.data import checks

# L. Kriener, J. Göltz, M. A. Petrovici, "The Yin-Yang dataset", arXiv 2102.08211: sizes and seeds of the three parts.
_TRAINING, _VALIDATION, _TEST = (5000, 42), (1000, 41), (1000, 40)
_BIG, _SMALL = 0.5, 0.1  # radii of the disc around (0.5, 0.5) and of the dots in it
_YANG, _YIN, _DOT = range(3)  # labels


def read() -> checks.Splits:
    """Return the points (x, y, 1 - x, 1 - y) as images of one row of four pixels.

    Returns:
        Values (n, 1, 4, 1) float64 in 0..1, labels (n,) int64: 0 yang, 1 yin, 2 dot.
    """
    return checks.Splits(*draw(*_TRAINING), *draw(*_TEST), *draw(*_VALIDATION))


def draw(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return so many points and their labels, see `read`.

    A label is drawn first, all three alike, and then points of the square until one has it. With the same seed these
    are the points of the authors' generator.
    """
    random = np.random.RandomState(seed)
    labels, points = np.empty(size, np.int64), np.empty((size, 2))
    for sample in range(size):
        labels[sample] = random.randint(3)
        while label(*(point := random.rand(2))) != labels[sample]:
            pass
        points[sample] = point
    return np.concatenate([points, 1 - points], axis=1)[:, np.newaxis, :, np.newaxis], labels


def label(x: float, y: float) -> int | None:
    """Return what lies at a point of the unit square: 0 yang, 1 yin, 2 a dot, None outside the disc."""
    if np.hypot(x - _BIG, y - _BIG) > _BIG:
        return None
    left, right = np.hypot(x - _BIG / 2, y - _BIG), np.hypot(x - 1.5 * _BIG, y - _BIG)
    if min(left, right) < _SMALL:
        return _DOT
    # Yin is the upper half of the disc, with the half disc on its left and without the one on its right.
    return _YIN if left <= _BIG / 2 or (y > _BIG and right > _BIG / 2) else _YANG
