"""How many spikes a neuron of each layer emits for an image."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ttfs_keras.plots import drawing


def spikes_per_neuron(rates: Mapping[str, float], path: str | Path, overall: float) -> Path:
    """Draw a bar of spikes per neuron and image for each layer, and a dashed line for the whole network, as a PNG.

    Args:
        rates: layer name to spikes per neuron and image; first layer on top.
        path: PNG to write.
        overall: mean over all neurons of the network, spikes per neuron and image.

    Returns:
        `path`.

    Raises:
        ValueError: no layers, or a rate that is negative or not finite.
        OSError: `path` cannot be written; it is then what it was before.

    Example:
        >>> import pathlib, tempfile
        >>> from ttfs_keras import plots
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plots.spikes_per_neuron({"hidden": 0.3}, pathlib.Path(folder) / "a.png", overall=0.3).name
        'a.png'
    """
    drawing.require_entries("rates", rates, "at least one layer's spikes per neuron")
    wrong = [(name, rate) for name, rate in [*rates.items(), ("overall", overall)] if not 0 <= rate < np.inf]
    if wrong:
        raise ValueError(f"Expected finite spikes per neuron, at least 0. Received: {wrong}")
    figure = drawing.new_figure(1.2 + 0.3 * len(rates))
    axes = figure.subplots()
    positions = range(len(rates))
    bars = axes.barh(positions, list(rates.values()), height=0.7, color=drawing.BLUE)
    # The background keeps a value readable where the line for the whole network crosses it.
    background = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    axes.bar_label(bars, [f"{rate:.3g}" for rate in rates.values()], padding=4, fontsize="small", bbox=background)
    axes.axvline(overall, color=drawing.VERMILLION, linestyle="dashed", label=f"whole network: {overall:.3g}")
    axes.set_yticks(positions, [drawing.label(name) for name in rates])
    axes.set_ylim(len(rates) - 0.5, -0.5)
    # The room on the right holds the value of the longest bar.
    axes.set_xlim(0, 1.12 * max(*rates.values(), overall) or 1.0)
    axes.set_xlabel("spikes per neuron and image")
    axes.spines[["top", "right"]].set_visible(False)
    # Above the bars, where it hides none.
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize="small")
    return drawing.save_png(figure, path)
