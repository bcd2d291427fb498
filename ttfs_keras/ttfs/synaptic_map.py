"""The linear map from spikes to the potential of one population, whatever layers it is made of."""

import keras
import tensorflow as tf

from ttfs_keras.network.graph import as_functional, calls
from ttfs_keras.ttfs.encoder import TTFSEncoder
from ttfs_keras.ttfs.neuron import TTFSNeuron
from ttfs_keras.ttfs.readout import TTFSReadout
from ttfs_keras.ttfs.schedule import NO_SPIKES, signals
from ttfs_keras.ttfs.synapses import SpikingSynapses, Synapses


class SynapticMap:
    """Potentials of the layer that ends in a call, as a function of the lead times that reach it.

        z = L(x) + b

    Args:
        call: of a spiking layer, or None for what a tensor holds.
        target: symbolic tensor that the call takes, or the potentials themselves.
        producers: `{id(tensor): Call}` of the model.
        carried: `signals` of the model.

    Attributes:
        sources: symbolic tensors of spikes, in a fixed order.
    """

    def __init__(self, call, target, producers, carried):
        self.call = call
        self.target = target
        self.steps = []
        self.sources = []
        self._visit(target, producers, carried, set())

    def _visit(self, tensor, producers, carried, seen):
        if id(tensor) in seen:
            return
        seen.add(id(tensor))
        if carried[id(tensor)].kind == "spikes":
            self.sources.append(tensor)
            return
        call = producers[id(tensor)]
        for source in call.inputs:
            self._visit(source, producers, carried, seen)
        if call not in self.steps:
            self.steps.append(call)

    def __call__(self, leads, constant=True, weights=None):
        """Return `(batch, ..., neurons)` potentials.

        Args:
            leads: list of lead times `(batch, ..., neurons)`, in the order of `sources`.
            constant: whether to add b.
            weights: function that replaces each weight and makes every sign +: `tf.abs` bounds the map from above,
                `connections` counts synapses. None for the weights themselves.
        """
        tensors = {id(source): lead for source, lead in zip(self.sources, leads, strict=True)}
        for call in self.steps:
            received = [tensors[id(symbol)] for symbol in call.inputs]
            result = _apply(call, received, tensors, constant, weights)
            tensors |= {id(symbol): part for symbol, part in zip(call.outputs, keras.tree.flatten(result), strict=True)}
        value = tensors[id(self.target)]
        if isinstance(getattr(self.call, "operation", None), Synapses):
            return _synapses(self.call.operation, value, constant, weights)
        return value


def connections(weight):
    """Return 1 where a weight is not 0."""
    return tf.cast(weight != 0, weight.dtype)


def _synapses(layer, lead, constant, weights):
    own, biases = layer.effective_weights(tuple(lead.shape))
    own = tf.convert_to_tensor(own)
    potential = layer.integrate(lead, own if weights is None else weights(own))
    return potential + biases if constant and biases is not None else potential


def _apply(call, received, tensors, constant, weights):
    operation = call.operation
    if isinstance(operation, TTFSReadout):
        return _synapses(operation, received[0], constant, weights)
    if weights is not None and isinstance(operation, keras.layers.Subtract):
        return received[0] + received[1]
    if not getattr(operation, "variables", None):
        arguments, keywords = call.node.arguments.fill_in(tensors)
        return operation(*arguments, **keywords)

    def changed(variable):
        if variable.name in ("bias", "offset"):
            return variable.value if constant else tf.zeros_like(variable.value)
        return variable.value if weights is None else weights(variable.value)

    kinds = operation.trainable_variables, operation.non_trainable_variables
    trainable, fixed = ([changed(variable) for variable in kind] for kind in kinds)
    return operation.stateless_call(trainable, fixed, received[0])[0]


class Populations:
    """The populations of a spiking model, each with its `SynapticMap`, and the evaluation that visits them in order.

    Args:
        snn: Sequential or Functional model of TTFS layers.

    Attributes:
        model: the model as a Functional one.
        calls: its `Call`s.
        maps: `{layer name: SynapticMap}` of the layers of neurons, in order.
        producers: `{id(tensor): Call}`.
        carried: `signals` of the model.

    Raises:
        ValueError: the model has no encoder, or as for `signals`.
    """

    def __init__(self, snn):
        self.model = as_functional(snn)
        self.carried = signals(self.model)
        self.calls = calls(self.model)
        if not any(isinstance(call.operation, TTFSEncoder) for call in self.calls):
            raise ValueError(NO_SPIKES)
        self.producers = {id(tensor): call for call in self.calls for tensor in call.outputs}
        self.maps = {
            call.operation.name: SynapticMap(call, call.inputs[0], self.producers, self.carried)
            for call in self.calls
            if isinstance(call.operation, SpikingSynapses | TTFSNeuron)
        }

    def map_to(self, tensor):
        """Return the `SynapticMap` to the potentials that a tensor of the model holds."""
        return SynapticMap(None, tensor, self.producers, self.carried)

    def visit(self, inputs, fire):
        """Evaluate the spikes in order and return `{id(tensor): lead times}` of all tensors of spikes.

        Args:
            inputs: list of batches, one for each input of the model; None for one sample of the earliest spikes.
            fire: function `(layer, map, leads, potential)` called for each population; lead times that it returns take
                the place of the layer's own.
        """
        tensors = {} if inputs is None else {id(s): v for s, v in zip(self.model.inputs, inputs, strict=True)}
        for call in self.calls:
            operation = call.operation
            if operation.name in self.maps:
                synapses = self.maps[operation.name]
                leads = [tensors[id(source)] for source in synapses.sources]
                potential = synapses(leads)
                lead = fire(operation, synapses, leads, potential)
                neuron = getattr(operation, "neuron", operation)
                tensors[id(call.outputs[0])] = neuron(potential) if lead is None else lead
            elif inputs is None and isinstance(operation, TTFSEncoder):
                shape = [size or 1 for size in call.outputs[0].shape]
                tensors[id(call.outputs[0])] = tf.ones(shape, operation.compute_dtype) * operation.window
            elif self.carried[id(call.outputs[0])].kind == "spikes":
                arguments, keywords = call.node.arguments.fill_in(tensors)
                produced = keras.tree.flatten(operation(*arguments, **keywords))
                tensors |= {id(symbol): part for symbol, part in zip(call.outputs, produced, strict=True)}
        return tensors
