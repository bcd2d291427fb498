"""What every figure shares: colours, labels, checks of the input, and the atomic PNG."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ttfs_keras.files.atomic import replacing

# From the palette of Okabe and Ito (2008), which stays distinct under the common colour vision deficiencies.
BLUE, VERMILLION = "#0072B2", "#D55E00"
WINDOW_SHADE = "#CFE6F5"
SEPARATOR = "#BBBBBB"

WIDTH = 9.0  # inches, of every figure
DOTS_PER_INCH = 120
TIME_LABEL = "time (units of tau)"


@dataclasses.dataclass(frozen=True)
class LayerSpikes:
    """Checked spike times of one layer: `times` (neurons,) with inf where silent, `window` (t_min, t_max)."""

    name: str
    times: np.ndarray
    window: tuple[float, float]

    @property
    def fired(self) -> np.ndarray:
        """Times of the neurons that spiked, (spikes,)."""
        return self.times[np.isfinite(self.times)]

    @property
    def silent_share(self) -> float:
        """Share of neurons without a spike, 0 to 1."""
        return float(np.mean(np.isinf(self.times)))


def require_entries(argument: str, mapping: Mapping, expected: str) -> None:
    """Raise ValueError if `mapping` is empty, naming what was `expected` in it."""
    if not mapping:
        raise ValueError(f"Expected {expected}. Received: {argument}={mapping!r}")


def layer_spikes(times: Mapping[str, np.ndarray], windows: Mapping[str, tuple[float, float]]) -> list[LayerSpikes]:
    """Check and flatten the spike times of every layer.

    Args:
        times: layer name to absolute spike times of any shape, units of tau, inf where silent.
        windows: layer name to (t_min, t_max), units of tau; other layers' windows are ignored.

    Returns:
        One entry a layer, in the order of `times`.

    Raises:
        ValueError: no layers, a layer without neurons or window, a time that is NaN or -inf, a window that ends before
            it starts or is not finite.
    """
    require_entries("times", times, "at least one layer's spike times")
    missing = [name for name in times if name not in windows]
    if missing:
        raise ValueError(f"Expected a window for every layer of times. Missing: {missing}. Received: {list(windows)}")
    layers = []
    for name, layer_times in times.items():
        flat = np.asarray(layer_times, np.float64).ravel()
        if flat.size == 0:
            raise ValueError(f"Expected at least one neuron in layer {name!r}. Received: shape={np.shape(layer_times)}")
        if np.any(np.isnan(flat) | np.isneginf(flat)):
            raise ValueError(
                f"Expected finite spike times, or inf for a silent neuron, in layer {name!r}. "
                f"Received: {np.sum(np.isnan(flat))} NaN and {np.sum(np.isneginf(flat))} -inf"
            )
        t_min, t_max = (float(bound) for bound in windows[name])
        if not (np.isfinite(t_min) and np.isfinite(t_max) and t_min <= t_max):
            raise ValueError(f"Expected a finite window, t_min <= t_max, of layer {name!r}. Received: {windows[name]}")
        layers.append(LayerSpikes(name, flat, (t_min, t_max)))
    return layers


def time_limits(layers: list[LayerSpikes]) -> tuple[float, float]:
    """Limits of a time axis, units of tau, that shows every window and every spike of `layers` with a small margin."""
    moments = np.concatenate([np.concatenate([layer.window, layer.fired]) for layer in layers])
    first, last = float(moments.min()), float(moments.max())
    margin = 0.01 * (last - first) or 0.5
    return first - margin, last + margin


def label(name: str, limit: int = 32) -> str:
    """Layer name as figures show it: shortened in the middle to `limit` characters, never read as a formula."""
    if len(name) > limit:
        kept = limit - 1
        name = f"{name[: kept - kept // 2]}…{name[-(kept // 2) :]}"
    # A legend drops labels that start with an underscore.
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")


def percent(share: float) -> str:
    """Share (0 to 1) in percent that says 0.0% and 100.0% only where that is exact."""
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{100 * share:.1f}%"


def new_figure(height: float) -> Figure:
    """Empty figure of the common width and `height` inches; outside pyplot, so that none stays open in memory."""
    figure = Figure(figsize=(WIDTH, height))
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06)
    return figure


def save_png(figure: Figure, path: str | Path) -> Path:
    """Write `figure` as a PNG to `path`, whole or not at all, and return `path`.

    Raises:
        OSError: the folder or file cannot be written; `path` is then what it was before.
    """
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH)
    return Path(path)
