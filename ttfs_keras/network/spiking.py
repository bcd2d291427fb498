"""Layers that spike: what each says about its own output, and what follows from that for any network of them."""

from typing import Any

import keras
import numpy as np

from ttfs_keras.network.graph import Call, Graph, Symbol
from ttfs_keras.network.inputs import Inputs


class Spiking:
    """Mixin of Keras layers whose output are spikes.

    Attributes:
        time_unit: unit of the layer's times: "tau" (window time), "s" or "steps".
        encodes: whether the layer turns the network's input into spikes, so that it has no neurons of its own.
    """

    time_unit = ""
    encodes = False
    name: str
    compute_dtype: str

    def spike_counts(self, output: Any) -> Any:
        """Return how many spikes each neuron emitted, a tensor `(batch, neurons...)`, from the layer's output."""
        raise NotImplementedError  # abstract

    def spikes_end(self, arriving: float, shape: tuple) -> float:
        """Return the time by which all spikes have been emitted, in `time_unit`.

        Args:
            arriving: time by which all spikes that reach the layer have been emitted; 0 for the network's input.
            shape: of the layer's output.
        """
        raise NotImplementedError  # abstract

    def class_scores(self, output: Any) -> Any:
        """Return what is compared to find the answer, a tensor `(batch, classes)`, where the layer ends a network."""
        return output

    def spike_record(self, output: np.ndarray, end: float) -> np.ndarray:
        """Return the spikes as `spikes` gives them, from the layer's output and `spikes_end`."""
        return output


def spiking_calls(graph: Graph) -> list[Call]:
    """Return the calls of layers that spike, in topological order; a ReLU network has none."""
    return [call for call in graph.calls if isinstance(call.operation, Spiking)]


def ends(graph: Graph) -> dict[Symbol, float]:
    """Return `{symbol: time by which all spikes that it depends on have been emitted}`; 0 where there are none."""
    found = dict.fromkeys(graph.inputs, 0.0)
    for call in graph.calls:
        end = max((found[symbol] for symbol in call.inputs), default=0.0)
        if isinstance(call.operation, Spiking):
            end = call.operation.spikes_end(end, call.shape)
        found |= dict.fromkeys(call.outputs, end)
    return found


def read_out_time(graph: Graph) -> tuple[float | None, str | None]:
    """Return the time at which the outputs are read, and its unit; (None, None) for a network without spikes."""
    spiking = spiking_calls(graph)
    if not spiking:
        return None, None
    found = ends(graph)
    return max(found[symbol] for symbol in graph.outputs), spiking[-1].operation.time_unit


def spikes(model: keras.Model, x: Any, batch_size: int = 128) -> dict[str, np.ndarray]:
    """Return the spikes of every layer that emits some, encoders included, of any of the three families.

    Shapes: of a TTFS layer absolute spike times `(samples, neurons...)`, float64, in window time (tau = 1), inf where
    silent; of a BATS layer spike trains `(samples, neurons..., max_spikes)` in seconds, ascending, padded with inf; of
    an STBP layer `(samples, time_steps, neurons...)`, 1 where a neuron spikes in a step, else 0.

    Args:
        model: Functional or Sequential model; models within it are looked into.
        x: inputs, see `Inputs`.
        batch_size: samples at a time.

    Returns:
        `{name of the layer's call: array}`.

    Raises:
        ValueError: no layer of the model spikes, or x does not fit it.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), tk.TTFSEncoder(name="encoder"), tk.TTFSReadout(1)])
        >>> tk.spikes(model, np.array([[0.0, 0.75]]))["encoder"].tolist()
        [[inf, 0.25]]
    """
    graph = Graph(model)
    calls = spiking_calls(graph)
    if not calls:
        raise ValueError(f"spikes: expected a model with layers that spike. Received: {model.name}, which has none")
    run, times = graph.compiled([call.outputs[0] for call in calls]), ends(graph)
    parts = [[np.asarray(value) for value in run(*batch)] for batch in Inputs(model, x, batch_size)]
    return {
        call.name: call.operation.spike_record(np.concatenate(outputs), times[call.outputs[0]])
        for call, *outputs in zip(calls, *parts, strict=True)
    }
