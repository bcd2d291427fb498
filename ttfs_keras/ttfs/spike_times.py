"""Absolute spike times of a TTFS network, from the lead times of the fast path."""

import keras
import numpy as np

from ttfs_keras.network.graph import as_functional, compiled
from ttfs_keras.ttfs.encoder import TTFSEncoder
from ttfs_keras.ttfs.schedule import NO_SPIKES, POOLS, SPIKING, checked_inputs, float64, signals, steps


def spike_times(snn, x, batch_size=128):
    """Return `{layer name: absolute spike times}` of the encoder, all spiking layers and all max pools of spikes.

        t = t_max - x,  inf where the lead time x is 0        (fast path; `simulate` integrates the membranes instead)

    Shapes: float64 arrays `(batch, ..., neurons)`, in window time.

    Args:
        snn: as for `schedule`.
        x: `(batch, ...)` inputs of the model, or a list of them.
        batch_size: how many samples to compute at a time.

    Raises:
        ValueError: as for `schedule`, the model has no encoder, or x is not numeric, is empty, has another shape or
            holds NaN.
    """
    model = as_functional(snn)
    carried = signals(model)
    found = {}
    for call in steps(model):
        name, tensor = call.operation.name, call.outputs[0]
        if isinstance(call.operation, (TTFSEncoder, *SPIKING, *POOLS)) and carried[id(tensor)].kind == "spikes":
            found[name] = tensor
    if not found:
        raise ValueError(NO_SPIKES)
    inputs = checked_inputs(model, x)
    lead_times = compiled(keras.Model(model.inputs, list(found.values())))
    starts = range(0, len(inputs[0]), batch_size)
    batches = [lead_times(*(array[start : start + batch_size] for array in inputs)) for start in starts]
    times = {}
    for (name, tensor), *leads in zip(found.items(), *batches, strict=True):
        lead = np.concatenate([float64(lead) for lead in leads])
        times[name] = np.where(lead > 0, carried[id(tensor)].window.end - lead, np.inf)
    return times
