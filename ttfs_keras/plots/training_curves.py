"""Loss, accuracy and window widths over the epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ttfs_keras.plots import drawing

WINDOW_PREFIX = "window/"
# Beyond this ratio of widest to narrowest, the narrow windows would merge on a linear axis.
LOGARITHMIC_RATIO = 10.0
# Up to this many points, a marker on each helps more than it clutters.
MARKED_POINTS = 20

# Neighbouring layers have similar colours: line and marker tell them apart.
LAYER_STYLES = (
    {"linestyle": "solid", "marker": "o"},
    {"linestyle": "dashed", "marker": "s"},
    {"linestyle": "dotted", "marker": "^"},
)


def training_curves(metrics: Mapping[str, Sequence[float]], path: str | Path) -> Path:
    """Draw one panel each for loss, accuracy and window widths, training and validation together, as a PNG.

    Args:
        metrics: column name to (epochs,) values, as `read_metrics` returns them. Drawn are those present of loss,
            val_loss, accuracy, val_accuracy (0 to 1) and window/<layer> (units of tau), over epoch (1, 2, ... if
            absent). A line skips values that are not finite.
        path: PNG to write.

    Returns:
        `path`.

    Raises:
        ValueError: no metrics, none that can be drawn, no epochs, or columns of different lengths.
        OSError: `path` cannot be written; it is then what it was before.

    Example:
        >>> import pathlib, tempfile
        >>> from ttfs_keras import plots
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plots.training_curves({"loss": [0.5, 0.4]}, pathlib.Path(folder) / "a.png").name
        'a.png'
    """
    drawing.require_entries("metrics", metrics, "columns of metrics.csv")
    lengths = {name: len(values) for name, values in metrics.items()}
    if len(set(lengths.values())) > 1 or not all(lengths.values()):
        raise ValueError(f"Expected columns of one length, at least one epoch. Received: lengths={lengths}")
    columns = {name: np.asarray(values, np.float64) for name, values in metrics.items()}
    epochs = columns.get("epoch", np.arange(1, 1 + max(lengths.values()), dtype=np.float64))

    curves = [quantity for quantity in ("loss", "accuracy") if quantity in columns or f"val_{quantity}" in columns]
    widths = {name[len(WINDOW_PREFIX) :]: column for name, column in columns.items() if name.startswith(WINDOW_PREFIX)}
    if not curves and not widths:
        raise ValueError(f"Expected a column loss, accuracy or {WINDOW_PREFIX}<layer>. Received: {list(columns)}")

    heights = [2.4] * len(curves) + [max(2.4, 0.19 * len(widths) + 0.4)] * bool(widths)
    figure = drawing.new_figure(sum(heights) + 0.4)
    panels = figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for panel, quantity in zip(panels, curves, strict=False):
        _draw_training_and_validation(panel, epochs, columns, quantity)
    if widths:
        _draw_widths(panels[-1], epochs, widths)
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return drawing.save_png(figure, path)


def _draw_training_and_validation(
    panel: Axes, epochs: np.ndarray, columns: Mapping[str, np.ndarray], quantity: str
) -> None:
    if quantity in columns:
        _draw_curve(panel, epochs, columns[quantity], "training", color=drawing.BLUE)
    if f"val_{quantity}" in columns:
        _draw_curve(
            panel, epochs, columns[f"val_{quantity}"], "validation", color=drawing.VERMILLION, linestyle="dashed"
        )
    _finish(panel, quantity)


def _draw_widths(panel: Axes, epochs: np.ndarray, widths: Mapping[str, np.ndarray]) -> None:
    # Dark to light follows the depth of a layer; the bright end of the map is too pale on white.
    colours = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.88, len(widths)))
    for index, (layer, column) in enumerate(widths.items()):
        style = LAYER_STYLES[index % len(LAYER_STYLES)]
        _draw_curve(panel, epochs, column, drawing.label(layer), color=colours[index], **style)
    shown = np.concatenate([column[np.isfinite(column)] for column in widths.values()])
    if shown.size and shown.min() > 0 and shown.max() > LOGARITHMIC_RATIO * shown.min():
        panel.set_yscale("log")
    _finish(panel, "window width (tau)")


def _draw_curve(panel: Axes, epochs: np.ndarray, values: np.ndarray, name: str, marker: str = "o", **style) -> None:
    shown = np.isfinite(epochs) & np.isfinite(values)
    # Where epochs are left out, only markers tell the measured ones.
    marked = np.sum(shown) <= MARKED_POINTS or not np.all(shown)
    name += "" if np.any(shown) else " (no finite value)"
    panel.plot(epochs[shown], values[shown], label=name, marker=marker if marked else None, markersize=4, **style)


def _finish(panel: Axes, quantity: str) -> None:
    panel.set_ylabel(quantity)
    panel.grid(alpha=0.3)
    # Beside the panel, where it hides no curve.
    panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small", handlelength=3.0)
