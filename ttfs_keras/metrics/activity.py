"""How often the neurons of a model fire, whatever kind of spiking network it is."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from ttfs_keras.bats.encoder import LatencyEncoder
from ttfs_keras.bats.multi_spike import MultiSpikeLayer
from ttfs_keras.graph import Names, calls, compiled, inlined
from ttfs_keras.stbp.lif import LIF
from ttfs_keras.ttfs.encoder import TTFSEncoder
from ttfs_keras.ttfs.schedule import latency
from ttfs_keras.ttfs.spiking import spike_outputs


class Emitter(NamedTuple):
    """A call of a layer that emits spikes.

    Attributes:
        name: of the layer; from its second call on with a number.
        layer: the layer.
        output: its symbolic output.
        spikes: function of the output's value, an array, to spikes (batch, neurons...).
        encodes: whether it only encodes the input.
    """

    name: str
    layer: keras.layers.Layer
    output: object
    spikes: Callable
    encodes: bool


def emitters(model):
    """Return the `Emitter`s of a model and of the models in it, in topological order; a ReLU network has none."""
    graph, names, found = inlined(model), Names(), []
    for layer, output in spike_outputs(graph).items():
        found.append(Emitter(names(layer, ""), layer, output, lambda lead: lead > 0, isinstance(layer, TTFSEncoder)))
    for call in calls(graph):
        layer, output = call.operation, call.outputs[0]
        if isinstance(layer, MultiSpikeLayer | LatencyEncoder):
            encodes = isinstance(layer, LatencyEncoder)
            found.append(Emitter(names(layer, ""), layer, output, _count_train, encodes))
        if isinstance(layer, LIF):
            found.append(Emitter(names(layer, ""), layer, output, _count_steps, False))
    return found


def spike_trains(model, x):
    """Return {layer name: spike times (batch, neurons..., K), seconds} of the encoder and multi-spike layers."""
    found = [e for e in emitters(model) if e.spikes is _count_train]
    outputs = compiled(keras.Model(model.inputs, [e.output for e in found]))(x)
    return {e.name: np.asarray(output) for e, output in zip(found, outputs, strict=True)}


def decision_time(model):
    """Return (time until the outputs are read, its unit), or (None, None) for a network without spikes."""
    found = [e.layer for e in emitters(model)]
    if not found:
        return None, None
    if isinstance(found[-1], MultiSpikeLayer):
        return found[-1].simulation_time, "s"
    if isinstance(found[-1], LIF):
        return emitters(model)[-1].output.shape[1], "steps"
    return latency(model), "tau"


def _count_steps(spikes):
    return spikes.sum(axis=1)


def _count_train(times):
    return np.isfinite(times).sum(axis=-1)
