"""Which layers of a model emit spikes."""

from ttfs_keras.ttfs.encoder import TTFSEncoder
from ttfs_keras.ttfs.neuron import TTFSNeuron
from ttfs_keras.ttfs.synapses import SpikingSynapses


def spiking_layers(model):
    """Return the encoders and the layers of neurons of a model, in order."""
    return [layer for layer in model.layers if isinstance(layer, TTFSEncoder | TTFSNeuron | SpikingSynapses)]


def is_spiking(model):
    """Return whether a model has a layer that emits spikes."""
    return bool(spiking_layers(model))
