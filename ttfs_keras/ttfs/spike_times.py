"""Absolute spike times of a TTFS network, from the lead times of the fast path."""

from typing import Any

import keras
import numpy as np

from ttfs_keras.network.graph import Graph
from ttfs_keras.network.inputs import Inputs
from ttfs_keras.ttfs.lead_times import LeadTimes, absolute_times
from ttfs_keras.ttfs.relays import POOLS
from ttfs_keras.ttfs.schedule import NO_SPIKES, signals


def spike_times(snn: keras.Model, x: Any, batch_size: int = 128) -> dict[str, np.ndarray]:
    """Return `{layer name: absolute spike times}` of the encoder, all spiking layers and all max pools of spikes.

        t = t_max - x,  inf where the lead time x is 0        (fast path; `simulate` integrates the membranes instead)

    Shapes: float64 arrays `(batch, ..., neurons)`, in window time.

    Args:
        snn: as for `schedule`.
        x: inputs of the model, `(samples, ...)`, a list or dict of them for several inputs, or a `tf.data.Dataset`.
        batch_size: how many samples to compute at a time.

    Raises:
        ValueError: as for `schedule`, the model has no encoder, or x does not fit it or is not finite.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), tk.TTFSEncoder(name="encoder"), tk.TTFSReadout(1)])
        >>> tk.spike_times(model, np.array([[0.0, 0.75]]))["encoder"].tolist()
        [[inf, 0.25]]
    """
    graph = Graph(snn)
    carried = signals(graph)
    found = [
        call
        for call in graph.calls
        if isinstance(call.operation, (LeadTimes, *POOLS)) and carried[call.outputs[0]].kind == "spikes"
    ]
    if not found:
        raise ValueError(NO_SPIKES)
    lead_times = graph.compiled([call.outputs[0] for call in found])
    batches = [[np.asarray(lead) for lead in lead_times(*batch)] for batch in Inputs(snn, x, batch_size)]
    times = {}
    for call, *leads in zip(found, *batches, strict=True):
        lead, window = np.concatenate(leads), carried[call.outputs[0]].window
        times[call.name] = absolute_times(lead, window.end)
    return times
