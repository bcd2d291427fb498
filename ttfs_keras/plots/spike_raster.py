"""Which neuron spikes when, for one image."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle

from ttfs_keras.plots import drawing

MOST_NEURONS = 500  # drawn of one layer: more would be less than a pixel each
BAND_HEIGHT = 0.62  # inches


def spike_raster(times: Mapping[str, np.ndarray], windows: Mapping[str, tuple[float, float]], path: str | Path) -> Path:
    """Draw every spike of one image over time and neuron index, layers stacked, windows shaded, as a PNG.

    Each layer has a band of the same height, in which the neuron index grows downwards from 0. Of a layer with more
    than 500 neurons, 500 evenly spaced ones are drawn, and its label says so.

    Args:
        times: layer name to the image's absolute spike times, (neurons,) or (..., channels), units of tau, inf where
            silent; an array of more axes is flattened in C order. First layer on top.
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
        ...     plots.spike_raster({"h": np.array([0.2])}, {"h": (0.0, 1.0)}, pathlib.Path(folder) / "a.png").name
        'a.png'
    """
    layers = drawing.layer_spikes(times, windows)
    figure = drawing.new_figure(0.8 + BAND_HEIGHT * len(layers))
    axes = figure.subplots()
    for band, layer in enumerate(layers):
        t_min, t_max = layer.window
        axes.add_patch(Rectangle((t_min, band), t_max - t_min, 1.0, color=drawing.WINDOW_SHADE, linewidth=0))
        shown = _evenly_spaced(layer.times)
        fired = np.flatnonzero(np.isfinite(shown))
        # Marks of neighbouring neurons do not touch in a small layer, and stay visible in a large one.
        size = max(1.5, 0.6 * 72 * BAND_HEIGHT / shown.size)
        axes.plot(shown[fired], band + (fired + 0.5) / shown.size, "|", color=drawing.BLUE, markersize=size)
    for boundary in range(1, len(layers)):
        axes.axhline(boundary, color=drawing.SEPARATOR, linewidth=0.6)
    axes.set_yticks([band + 0.5 for band in range(len(layers))], [_description(layer) for layer in layers])
    axes.tick_params(axis="y", length=0, labelsize="small")
    axes.set_xlim(drawing.time_limits(layers))
    axes.set_ylim(len(layers), 0)
    axes.set_xlabel(drawing.TIME_LABEL)
    axes.set_ylabel("neurons")
    return drawing.save_png(figure, path)


def _evenly_spaced(times: np.ndarray) -> np.ndarray:
    if times.size <= MOST_NEURONS:
        return times
    return times[np.linspace(0, times.size - 1, MOST_NEURONS).round().astype(int)]


def _description(layer: drawing.LayerSpikes) -> str:
    if layer.times.size > MOST_NEURONS:
        neurons = f"{MOST_NEURONS} of {layer.times.size:,} neurons"
    else:
        neurons = f"{layer.times.size} neuron{'s' * (layer.times.size != 1)}"
    return f"{drawing.label(layer.name)}\n{neurons}"
