"""The linear map from spikes to the potential of one population, whatever layers it is made of."""

import collections
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from ttfs_keras.network.graph import Call, Graph, Symbol
from ttfs_keras.ttfs.lead_times import LeadTimes
from ttfs_keras.ttfs.readout import TTFSReadout
from ttfs_keras.ttfs.schedule import NO_SPIKES, signals
from ttfs_keras.ttfs.synapses import Synapses


class Values(dict):
    """Values of symbols for one choice of lead times; those of sources are computed when they are first needed.

    Args:
        lead: function of a source's symbol to its lead times.
    """

    def __init__(self, lead: Callable[[Symbol], Any]):
        super().__init__()
        self._lead = lead

    def __missing__(self, symbol: Symbol) -> Any:
        self[symbol] = self._lead(symbol)
        return self[symbol]


class SynapticMap:
    """Potentials of the layer that ends in a call, as a function of the lead times that reach it.

        z = L(x) + b

    Args:
        call: of a spiking layer, or None for what a tensor holds.
        target: the `Symbol` that the call takes, or of the potentials themselves.
        graph: of the model.
        carried: its `signals`.

    Attributes:
        sources: symbols of spikes, in a fixed order.
        steps: the linear calls between them and the target.
    """

    def __init__(self, call: Call | None, target: Symbol, graph: Graph, carried: dict):
        self.call = call
        self.target = target
        self.steps: list[Call] = []
        self.sources: list[Symbol] = []
        self._visit(target, graph, carried, set())

    def _visit(self, symbol, graph, carried, seen):
        if symbol in seen:
            return
        seen.add(symbol)
        if carried[symbol].kind == "spikes":
            self.sources.append(symbol)
            return
        call = graph.makers[symbol]
        for source in call.inputs:
            self._visit(source, graph, carried, seen)
        if call not in self.steps:
            self.steps.append(call)

    def __call__(self, leads, constant: bool = True, weights: Callable | None = None):
        """Return `(batch, ..., neurons)` potentials.

        Args:
            leads: list of lead times `(batch, ..., neurons)`, in the order of `sources`, or `Values`, in which those of
                the linear calls stay, so that another population that shares them need not compute them again.
            constant: whether to add b.
            weights: function that replaces each weight and makes every sign +: `tf.abs` bounds the map from above. None
                for the weights themselves.
        """
        values = leads if isinstance(leads, dict) else dict(zip(self.sources, leads, strict=True))
        missing, wanted = [], {self.target}
        for call in reversed(self.steps):
            if any(symbol in wanted and symbol not in values for symbol in call.outputs):
                missing.append(call)
                wanted.update(call.inputs)
        for call in reversed(missing):
            result = _apply(call, values, constant, weights)
            values |= dict(zip(call.outputs, keras.tree.flatten(result), strict=True))
        value = values[self.target]
        if self.call is not None and isinstance(self.call.operation, Synapses):
            return _synapses(self.call.operation, value, constant, weights)
        return value


def _synapses(layer, lead, constant, weights):
    # As Keras casts what a layer takes and its weights when it is called.
    own, biases = (None if part is None else _cast(part, layer) for part in layer.effective_weights(tuple(lead.shape)))
    potential = layer.integrate(_cast(lead, layer), own if weights is None else weights(own))
    return potential + biases if constant and biases is not None else potential


def _cast(values, layer):
    return tf.cast(values, layer.compute_dtype)


def _apply(call, values, constant, weights):
    operation = call.operation
    received = [values[symbol] for symbol in call.inputs]
    if isinstance(operation, TTFSReadout):
        return _synapses(operation, received[0], constant, weights)
    if weights is not None and isinstance(operation, keras.layers.Subtract):
        return _cast(received[0], operation) + _cast(received[1], operation)
    if not getattr(operation, "variables", None):
        return call(values)

    def changed(variable):
        value = tf.convert_to_tensor(variable.value)
        if variable.name in ("bias", "offset"):
            return value if constant else tf.zeros_like(value)
        return value if weights is None else weights(value)

    with keras.StatelessScope([(variable, changed(variable)) for variable in operation.variables]):
        return operation(received[0])


class Population:
    """A layer of neurons in a batch that is being evaluated, as `Populations.visit` hands it on.

    Attributes:
        name: of the call.
        layer: the layer.
        synapses: its `SynapticMap`.
        leads: lead times of its sources, a list.
        potential: `(batch, ..., neurons)`.
    """

    def __init__(self, call: Call, synapses: SynapticMap, tensors: dict, shared: dict):
        self.name = call.name
        self.layer = call.operation
        self.synapses = synapses
        self.leads = [tensors[source] for source in synapses.sources]
        self.potential = synapses(tensors)
        self._tensors = tensors
        self._shared = shared

    @property
    def neuron(self) -> Any:
        """The layer's `TTFSNeuron`."""
        return getattr(self.layer, "neuron", self.layer)

    def mapped(self, key: Any, change: Callable, weights: Callable | None = None) -> Any:
        """Return L(change(x)), without b; linear calls that populations share are computed once for a key.

        Args:
            key: stands for `change` among all populations of the batch.
            change: function of lead times to others of the same shape, or with more samples.
            weights: see `SynapticMap`.
        """
        values = self._shared.setdefault((key, weights), Values(lambda symbol: change(self._tensors[symbol])))
        return self.synapses(values, constant=False, weights=weights)

    def resting(self) -> Any:
        """Return b, `(1, ..., neurons)`."""
        return self.synapses([tf.zeros_like(lead[:1]) for lead in self.leads])


class Populations:
    """The populations of a spiking model, each with its `SynapticMap`, and the evaluation that visits them in order.

    Args:
        snn: Sequential or Functional model of TTFS layers, or its `Graph`.

    Attributes:
        graph: of the model.
        maps: `{name: SynapticMap}` of the layers of neurons, in order.
        carried: `signals` of the model.

    Raises:
        ValueError: the model has no encoder, or as for `signals`.
    """

    def __init__(self, snn: keras.Model | Graph):
        self.graph = snn if isinstance(snn, Graph) else Graph(snn)
        self.carried = signals(self.graph)
        if not any(isinstance(call.operation, LeadTimes) and call.operation.encodes for call in self.graph.calls):
            raise ValueError(NO_SPIKES)
        self.maps = {
            call.name: SynapticMap(call, call.inputs[0], self.graph, self.carried)
            for call in self.graph.calls
            if isinstance(call.operation, LeadTimes) and not call.operation.encodes
        }
        uses = collections.Counter(id(step) for synapses in self.maps.values() for step in synapses.steps)
        self._uses = {step: uses[id(step)] for synapses in self.maps.values() for step in synapses.steps}

    def map_to(self, symbol: Symbol) -> SynapticMap:
        """Return the `SynapticMap` to the potentials that a tensor of the model holds."""
        return SynapticMap(None, symbol, self.graph, self.carried)

    def visit(self, inputs: list | None, fire: Callable[[Population], Any]) -> dict[Symbol, Any]:
        """Evaluate the spikes in order and return the lead times of all tensors of spikes.

        Args:
            inputs: list of batches, one for each input of the model; None for one sample of the earliest spikes.
            fire: function called with each `Population`; lead times that it returns take the place of the layer's own.
        """
        tensors: dict[Symbol, Any] = {} if inputs is None else dict(zip(self.graph.inputs, inputs, strict=True))
        shared: dict[Any, Values] = {}
        left = dict(self._uses)
        for call in self.graph.calls:
            operation = call.operation
            if call.name in self.maps:
                synapses = self.maps[call.name]
                population = Population(call, synapses, tensors, shared)
                lead = fire(population)
                tensors[call.outputs[0]] = population.neuron(population.potential) if lead is None else lead
                self._forget(synapses, left, tensors, shared)
            elif inputs is None and isinstance(operation, LeadTimes):
                shape = [size or 1 for size in call.shape]
                tensors[call.outputs[0]] = tf.ones(shape, operation.compute_dtype) * operation.window
            elif self.carried[call.outputs[0]].kind == "spikes" or (
                inputs and self.carried[call.outputs[0]].window is None
            ):
                tensors |= zip(call.outputs, call(tensors), strict=True)
        return tensors

    def _forget(self, synapses, left, tensors, shared):
        """Free the linear calls that no later population shares, and what was made of their sources for them."""
        for step in synapses.steps:
            left[step] -= 1
            for symbol in step.outputs if not left[step] else ():
                for values in (tensors, *shared.values()):
                    values.pop(symbol, None)
        for values in shared.values():
            for source in synapses.sources:
                if not any(left.get(taker) for taker in self.graph.takers[source]):
                    values.pop(source, None)
