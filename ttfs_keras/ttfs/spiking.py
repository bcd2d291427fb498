"""Which layers of a model emit spikes."""

from ttfs_keras.network.graph import as_functional, calls
from ttfs_keras.ttfs.encoder import TTFSEncoder
from ttfs_keras.ttfs.neuron import TTFSNeuron
from ttfs_keras.ttfs.synapses import SpikingSynapses

KINDS = (TTFSEncoder, TTFSNeuron, SpikingSynapses)  # of layers that emit lead times


def spike_outputs(model):
    """Return `{layer: symbolic lead times}` of the layers that emit spikes in a Functional or Sequential model."""
    found = calls(as_functional(model))
    return {call.operation: call.outputs[0] for call in found if isinstance(call.operation, KINDS)}


def is_spiking(model):
    """Return whether a model has a layer that emits spikes."""
    return bool(spike_outputs(model))
