"""What a network answers at each point of a plane."""

from pathlib import Path

import numpy as np
from matplotlib.colors import ListedColormap, Normalize

from ttfs_keras.plots import drawing

# The rest of the palette of which `drawing` has two.
COLORS = (drawing.BLUE, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", drawing.VERMILLION, "#F0E442", "#000000")


def decision_map(
    answers: np.ndarray, points: np.ndarray, labels: np.ndarray, path: str | Path, low: float = 0.0, high: float = 1.0
) -> Path:
    """Draw the answers over a square as areas and labelled points in the colours of their labels as a PNG.

    Args:
        answers: (n, n) whole numbers from 0 to 7, the classes at n values of y, from the lowest, times n values of x.
        points: (samples, 2), x and y.
        labels: (samples,) the classes of the points.
        path: PNG to write.
        low, high: ends of both axes.

    Returns:
        `path`.

    Raises:
        ValueError: arrays of other shapes, or classes that have no colour.
        OSError: `path` cannot be written; it is then what it was before.

    Example:
        >>> import pathlib, tempfile
        >>> from ttfs_keras import plots
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "a.png"
        ...     plots.decision_map(np.eye(4, dtype=int), np.array([[0.1, 0.2]]), np.array([1]), path).name
        'a.png'
    """
    answers, points, labels = np.asarray(answers), np.asarray(points), np.asarray(labels)
    square = answers.ndim == 2 and answers.shape[0] == answers.shape[1] > 0
    if not (square and points.ndim == 2 and points.shape[1:] == (2,) and labels.shape == points.shape[:1]):
        raise ValueError(
            "Expected answers (n, n), points (samples, 2) and labels (samples,). "
            f"Received: shapes {answers.shape}, {points.shape} and {labels.shape}"
        )
    classes = np.unique(np.concatenate([answers.ravel(), labels]))
    if not np.isin(classes, range(len(COLORS))).all():
        raise ValueError(f"Expected classes from 0 to {len(COLORS) - 1}. Received: {classes.tolist()}")
    figure = drawing.new_figure(7.0)
    axes = figure.subplots()
    cmap, norm = ListedColormap(COLORS), Normalize(-0.5, len(COLORS) - 0.5)  # a class is the index of its colour
    extent = (low, high, low, high)
    axes.imshow(answers, cmap, norm, origin="lower", extent=extent, interpolation="nearest", alpha=0.45)
    axes.scatter(points[:, 0], points[:, 1], s=14, c=labels, cmap=cmap, norm=norm, edgecolors="black", linewidths=0.4)
    axes.set_xlabel("x")
    axes.set_ylabel("y")
    return drawing.save_png(figure, Path(path))
