"""One column of a run's metrics over the epochs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from ttfs_keras.plots import drawing


def monitor(
    epochs: Sequence[float] | np.ndarray,
    values: Sequence[float] | np.ndarray,
    name: str,
    path: str | Path,
    along: str = "epoch",
) -> Path:
    """Draw a quantity over the epochs, or along something else, as a PNG.

    Args:
        epochs: (points,) numbers of the epochs, or of what `along` says.
        values: (points,) values.
        name: label of the vertical axis, with the unit where the quantity has one.
        path: PNG to write.
        along: label of the horizontal axis.

    Returns:
        `path`.

    Raises:
        ValueError: epochs and values differ in length or are empty.
        OSError: `path` cannot be written; it is then what it was before.

    Example:
        >>> import pathlib, tempfile
        >>> from ttfs_keras import plots
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plots.monitor([1, 2], [0.8, 0.9], "accuracy", pathlib.Path(folder) / "a.png").name
        'a.png'
    """
    if len(epochs) != len(values) or not len(values):
        raise ValueError(f"Expected a value for each of at least one epoch. Received: {len(epochs)}, {len(values)}")
    figure = drawing.new_figure(3.0)
    axes = figure.subplots()
    axes.plot(epochs, values, color=drawing.BLUE, marker="o", markersize=3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(along)
    axes.set_ylabel(drawing.label(name))
    return drawing.save_png(figure, Path(path))
