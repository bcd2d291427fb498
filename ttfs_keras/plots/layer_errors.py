"""How far each layer of a mapped network is from its ReLU source."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ttfs_keras.plots import drawing


def layer_errors(errors: Mapping[str, float], path: str | Path) -> Path:
    """Draw the largest absolute error of each layer's activations on a logarithmic axis, as a PNG.

    Args:
        errors: layer name to largest absolute error, in window time; first layer on top.
        path: PNG to write.

    Returns:
        `path`.

    Raises:
        ValueError: no layers, or an error that is negative or not finite.
        OSError: `path` cannot be written; it is then what it was before.

    Example:
        >>> import pathlib, tempfile
        >>> from ttfs_keras import plots
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plots.layer_errors({"hidden": 1e-7}, pathlib.Path(folder) / "a.png").name
        'a.png'
    """
    drawing.require_entries("errors", errors, "at least one layer's error")
    if wrong := [(name, error) for name, error in errors.items() if not 0 <= error < np.inf]:
        raise ValueError(f"Expected finite errors, at least 0. Received: {wrong}")
    figure = drawing.new_figure(1.0 + 0.3 * len(errors))
    axes = figure.subplots()
    positions = range(len(errors))
    # Zero has no place on a logarithmic axis; rounding of float64 is as good as none.
    floor = float(np.finfo(np.float64).eps)
    axes.plot(np.maximum(list(errors.values()), floor), positions, "o", color=drawing.BLUE)
    axes.set_xscale("log")
    axes.set_xlim(floor / 2, max(1.0, *errors.values()) * 2)
    axes.set_yticks(positions, [drawing.label(name) for name in errors])
    axes.set_ylim(len(errors) - 0.5, -0.5)
    axes.set_xlabel("largest absolute error of an activation")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return drawing.save_png(figure, path)
