"""How often the neurons of a model fire, whatever kind of spiking network it is."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from ttfs_keras.bats.encoder import LatencyEncoder
from ttfs_keras.bats.multi_spike import MultiSpikeLayer
from ttfs_keras.network.graph import observed, walk
from ttfs_keras.stbp.lif import LIF
from ttfs_keras.ttfs.encoder import TTFSEncoder
from ttfs_keras.ttfs.schedule import latency
from ttfs_keras.ttfs.spiking import KINDS


class Emitter(NamedTuple):
    """A call of a layer that emits spikes.

    Attributes:
        name: of the call, see `ttfs_keras.network.graph.Names`.
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
    return [
        Emitter(name, call.operation, call.outputs[0], spikes, isinstance(call.operation, TTFSEncoder | LatencyEncoder))
        for name, call in walk(model)
        for kinds, spikes in SPIKES
        if isinstance(call.operation, kinds)
    ]


def probe(model):
    """Return the emitters and a function of one batch for each input to (what each of them emits, the outputs)."""
    found = emitters(model)
    names = {e.name for e in found}
    return found, observed(model, lambda name, _, produced: produced[0] if name in names else None)


def spike_trains(model, x):
    """Return {name: spike times (batch, neurons..., K), seconds} of the encoder and multi-spike layers."""
    found, run = probe(model)
    values, _ = run(x)
    return {e.name: np.asarray(v) for e, v in zip(found, values, strict=True) if e.spikes is _count_train}


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


def _leads(lead):
    return lead > 0


# What a layer emits, as spikes.
SPIKES = (
    (KINDS, _leads),
    ((MultiSpikeLayer, LatencyEncoder), _count_train),
    (LIF, _count_steps),
)
