"""When the neurons of each layer spike."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ttfs_keras.plots import drawing

BINS = 30  # in a window
# A spike this far outside its window, relative to the time's size, is rounding and not a premature spike.
ROUNDING = 1e-6


def spike_time_histogram(
    times: Mapping[str, np.ndarray], windows: Mapping[str, tuple[float, float]], path: str | Path
) -> Path:
    """Draw a histogram of spike times per layer, one row each over a common time axis, windows shaded, as a PNG.

    Bars count the spikes inside the window; marks on the time axis show the others. A row's title has the layer's name,
    the share of silent neurons and, if there are any, the number of spikes outside the window.

    Args:
        times: layer name to absolute spike times of any shape, units of tau, inf where silent; first layer on top.
        windows: layer name to (t_min, t_max), units of tau, for at least the layers of `times`.
        path: PNG to write.

    Returns:
        `path`.

    Raises:
        ValueError: no layers, a layer without neurons or window, a time that is NaN or -inf, a window that ends before
            it starts or is not finite.
        OSError: `path` cannot be written; it is then what it was before.

    Example:
        >>> import pathlib, tempfile
        >>> from ttfs_keras import plots
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plots.spike_time_histogram({"h": np.array([0.2])}, {"h": (0, 1)}, pathlib.Path(folder) / "a.png").name
        'a.png'
    """
    layers = drawing.layer_spikes(times, windows)
    figure = drawing.new_figure(0.8 + 0.8 * len(layers))
    rows = figure.subplots(len(layers), sharex=True, squeeze=False)[:, 0]
    for row, layer in zip(rows, layers, strict=True):
        _draw_layer(row, layer)
    rows[-1].set_xlim(drawing.time_limits(layers))
    rows[-1].set_xlabel(drawing.TIME_LABEL)
    figure.supylabel("spikes", fontsize="medium")
    return drawing.save_png(figure, path)


def _draw_layer(row: Axes, layer: drawing.LayerSpikes) -> None:
    t_min, t_max = layer.window
    tolerance = ROUNDING * max(1.0, abs(t_min), abs(t_max))
    within = (layer.fired >= t_min - tolerance) & (layer.fired <= t_max + tolerance)
    # A window without width still gets a visible bar.
    edges = np.linspace(t_min, t_max if t_max > t_min else t_min + tolerance, BINS + 1)
    counts, _ = np.histogram(np.clip(layer.fired[within], edges[0], edges[-1]), edges)
    row.axvspan(t_min, t_max, color=drawing.WINDOW_SHADE)
    row.stairs(counts, edges, fill=True, color=drawing.BLUE)
    row.set_ylim(0, 1.08 * max(1, counts.max()))

    title = f"{drawing.label(layer.name)}: {drawing.percent(layer.silent_share)} silent"
    outside = layer.fired[~within]
    if outside.size:
        # Many marks on one pixel draw as one: binning keeps a large layer quick.
        occupied, positions = np.histogram(outside, 1000)
        centres = (0.5 * (positions[:-1] + positions[1:]))[occupied > 0]
        row.plot(
            centres,
            np.zeros(centres.size),
            "|",
            color=drawing.VERMILLION,
            markersize=10,
            markeredgewidth=0.8,
            clip_on=False,
        )
        title += f", {outside.size:,} outside the window"
    row.set_title(title, loc="left", fontsize="small", pad=4)
    row.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    row.tick_params(labelsize="small")
    row.spines[["top", "right"]].set_visible(False)
