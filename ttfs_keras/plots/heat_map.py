"""A quantity as a function of two others."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ttfs_keras.files.atomic import replacing
from ttfs_keras.plots import drawing

CELL_HEIGHT = 0.34  # inches


def heat_map(
    values: np.ndarray,
    rows: Sequence[float],
    columns: Sequence[float],
    path: str | Path,
    row_label: str,
    column_label: str,
    value_label: str,
    limits: tuple[float, float] | None = None,
) -> Path:
    """Draw a table of numbers as colours, with each number in its cell, as a PDF or PNG by the path's suffix.

    Args:
        values: (rows, columns), finite.
        rows: value of each row, first row at the bottom.
        columns: value of each column, first one on the left.
        path: file to write, `.pdf` or `.png`.
        row_label, column_label, value_label: what the three are, with units.
        limits: (lowest, highest) of the colours; None: those of `values`.

    Returns:
        `path`.

    Raises:
        ValueError: a suffix of another kind, no values, values of another shape, or one that is not finite.
        OSError: `path` cannot be written; it is then what it was before.
    """
    path = Path(path)
    if path.suffix not in (".pdf", ".png"):
        raise ValueError(f"Expected a path that ends in .pdf or .png. Received: {path}")
    values = np.asarray(values, np.float64)
    if values.shape != (len(rows), len(columns)) or not values.size:
        raise ValueError(
            f"Expected values for {len(rows)} rows and {len(columns)} columns, at least one. "
            f"Received: shape={values.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"Expected finite values. Received: {np.sum(~np.isfinite(values))} of {values.size} not finite"
        )
    figure = drawing.new_figure(1.2 + CELL_HEIGHT * len(rows))
    axes = figure.subplots()
    low, high = limits or (values.min(), values.max())
    image = axes.imshow(values, origin="lower", aspect="auto", cmap="cividis", vmin=low, vmax=high)
    for (row, column), value in np.ndenumerate(values):
        # Dark print on the light half of the colours, light print on the dark one.
        color = "black" if 2 * value > low + high else "white"
        axes.text(column, row, f"{value:.3g}", ha="center", va="center", color=color, fontsize="small")
    axes.set_xticks(range(len(columns)), [f"{value:.3g}" for value in columns])
    axes.set_yticks(range(len(rows)), [f"{value:.3g}" for value in rows])
    axes.set_xlabel(column_label)
    axes.set_ylabel(row_label)
    figure.colorbar(image, ax=axes, label=value_label)
    if path.suffix == ".png":
        return drawing.save_png(figure, path)
    with replacing(path) as temporary:
        # Without the date the same numbers give the same file.
        figure.savefig(temporary, format="pdf", metadata={"CreationDate": None})
    return path
