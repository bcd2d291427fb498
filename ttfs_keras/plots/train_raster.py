"""The spike trains of a multi-spike network for one image."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ttfs_keras.plots import drawing

BAND_HEIGHT = 1.1  # inches


def train_raster(trains: Mapping[str, np.ndarray], path: str | Path) -> Path:
    """Draw the spikes of each layer over time and neuron index, layers stacked, as a PNG.

    The vertical axis is the index of a neuron, in C order for layers of several axes.

    Args:
        trains: layer name to spike times (neurons..., max_spikes) in seconds, inf where there is none; drawn in ms.
            First layer on top.
        path: PNG to write.

    Returns:
        `path`.

    Raises:
        ValueError: no layers, a layer without neurons or with trains of length 0, or a time that is NaN or -inf.
        OSError: `path` cannot be written; it is then what it was before.

    Example:
        >>> import pathlib, tempfile
        >>> from ttfs_keras import plots
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plots.train_raster({"hidden": np.array([[0.01, np.inf]])}, pathlib.Path(folder) / "a.png").name
        'a.png'
    """
    drawing.require_entries("trains", trains, "at least one layer's spike trains")
    figure = drawing.new_figure(0.8 + BAND_HEIGHT * len(trains))
    axes = figure.subplots(len(trains), sharex=True, squeeze=False)[:, 0]
    for axis, (name, times) in zip(axes, trains.items(), strict=True):
        times = np.asarray(times)
        if times.ndim < 2 or not times.size:
            raise ValueError(
                f"Expected trains (neurons..., max_spikes) of at least one neuron in layer {name!r}. "
                f"Received: shape={times.shape}"
            )
        times = times.reshape(-1, times.shape[-1])
        if np.any(np.isnan(times) | np.isneginf(times)):
            raise ValueError(f"Expected spike times, or inf for none, in layer {name!r}. Received: NaN or -inf")
        neuron, spike = np.nonzero(np.isfinite(times))
        size = float(np.clip(0.6 * 72 * BAND_HEIGHT / len(times), 1.5, 8))
        axis.plot(1000 * times[neuron, spike], neuron, "|", color=drawing.BLUE, markersize=size)
        axis.set_ylim(len(times) - 0.5, -0.5)
        axis.set_ylabel(f"{drawing.label(name)}\n{len(neuron)} spikes", fontsize="small")
    axes[-1].set_xlabel("time (ms)")
    return drawing.save_png(figure, Path(path))
