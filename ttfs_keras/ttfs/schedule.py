"""The chain of windows: absolute times of a TTFS network, recovered from the widths that its layers hold."""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.network.graph import Graph, Symbol
from ttfs_keras.network.spiking import read_out_time
from ttfs_keras.ttfs.lead_times import LeadTimes
from ttfs_keras.ttfs.relays import passes_spikes

NO_SPIKES = "Expected a TTFS network, with a TTFSEncoder before its layers. Received: a model without one"


class Window(NamedTuple):
    """Absolute times in window time (tau = 1): `start` is t_min, `end` is t_max."""

    start: float
    end: float


class Signal(NamedTuple):
    """What a tensor of the network carries.

    Attributes:
        kind: "values" (before the encoder), "spikes" or "potentials".
        window: the `Window` in which its spikes fall, or those that its potentials sum; None for values.
    """

    kind: str
    window: Any


def float64(tensor: Any) -> np.ndarray:
    """Return a tensor or variable as a float64 array."""
    return tf.convert_to_tensor(tensor).numpy().astype(np.float64)


def signals(graph: Graph) -> dict[Symbol, Signal]:
    """Return what every tensor of a network carries, in the order of computation.

    Where branches meet, the spikes of the earlier window are delayed until both windows end together; the common window
    starts with the wider one.

    Args:
        graph: of the network.

    Raises:
        ValueError: an operation is used twice, or a layer fires without an encoder before it.
    """
    found = {symbol: Signal("values", None) for symbol in graph.inputs}
    for call in graph.once().values():
        operation: Any = call.operation
        kinds = [found[symbol].kind for symbol in call.inputs]
        arriving = [window for symbol in call.inputs if (window := found[symbol].window) is not None]
        kind, window = kinds[0] if kinds else "values", _join(arriving)
        if isinstance(operation, LeadTimes):
            if window is None and not operation.encodes:
                raise ValueError(f"Expected a TTFSEncoder before every spiking layer. {operation.name!r} has none.")
            start = 0.0 if window is None else window.end
            kind, window = "spikes", Window(start, start + float(float64(operation.window)))
        elif window is not None and not (set(kinds) == {"spikes"} and passes_spikes(operation)):
            kind = "potentials"
        found |= {symbol: Signal(kind, window) for symbol in call.outputs}
    return found


def _join(windows):
    if not windows:
        return None
    end = max(window.end for window in windows)
    return Window(end - max(window.end - window.start for window in windows), end) if len(windows) > 1 else windows[0]


def schedule(snn: keras.Model) -> dict[str, Window]:
    """Return `{layer name: Window}` in absolute window time, in the order of computation.

        encoder: [0, 1];   spiking layer: t_min = t_max of its inputs, the latest one;  t_max = t_min + X

    X is the layer's present window width. A layer that does not fire (pools, Flatten, linear layers, Add, ...) has its
    inputs' window, and so has the read-out: it is read at the end of that window. Layers before the encoder have none.
    Source: Stanojevic et al., Nature Communications 15:6793 (2024), t_min(n) = t_max(n-1).

    Args:
        snn: Sequential or Functional model of TTFS layers; models within it are looked into.

    Raises:
        ValueError: the model is another one, uses a layer twice, or lacks the encoder.

    Example:
        >>> layers = [tk.TTFSEncoder(name="encoder"), tk.TTFSDense(3, window=2.0, name="hidden"), tk.TTFSReadout(1)]
        >>> tk.ttfs.schedule(keras.Sequential([keras.Input((4,)), *layers]))["hidden"]
        Window(start=1.0, end=3.0)
    """
    graph = Graph(snn)
    carried = signals(graph)
    windows = ((call.name, carried[call.outputs[0]].window) for call in graph.calls)
    return {name: window for name, window in windows if window is not None}


def latency(snn: keras.Model) -> float:
    """Return the time at which the outputs are read, the latest t_max that feeds them, in window time.

    Args:
        snn: as for `schedule`.

    Raises:
        ValueError: as for `schedule`, or no output depends on spikes.
    """
    graph = Graph(snn)
    signals(graph)  # which refuses networks without a schedule
    time, _ = read_out_time(graph)
    if not time:
        raise ValueError("Expected an output that depends on spikes. Received: a model without a TTFSEncoder")
    return time
