"""The calls of a Keras model as one flat view; the only file that knows Keras's private graph."""

import collections
import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from ttfs_keras.network.time_distributed import in_steps


class Symbol:
    """A tensor between two calls, equal only to itself.

    Attributes:
        shape: `(batch, ...)`, None where a size is free.
        dtype: its name.
    """

    def __init__(self, shape: Sequence[int | None], dtype: str):
        self.shape = tuple(shape)
        self.dtype = dtype


class Call:
    """One use of an operation in a model.

    Attributes:
        name: the operation's own name within those of the models that hold it, with a number from its second use on.
        operation: `keras.Operation`, in most cases a layer.
        inputs, outputs: the `Symbol`s that it takes and gives there.
    """

    def __init__(self, name: str, node: Any, inputs: list[Symbol], outputs: list[Symbol]):
        self.name = name
        self.operation = node.operation
        self.inputs = inputs
        self.outputs = outputs
        self._node = node

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Shape of the first output."""
        return self.outputs[0].shape

    @property
    def operands(self) -> list:
        """The positional arguments: `Symbol`s for tensors of the model, and whatever constants there are."""
        symbols = {id(t): s for t, s in zip(self._node.input_tensors, self.inputs, strict=True)}
        return list(self._node.arguments.fill_in(symbols)[0])

    def of(self, operation: Any) -> "Call":
        """Return the same call of another operation."""
        found = copy.copy(self)
        found.operation = operation
        return found

    def in_float64(self) -> "Call":
        """Return the same call of a copy of its layer that computes in float64; functions do what they are fed."""
        if not isinstance(self.operation, keras.Layer):
            return self
        return self.of(_in_float64(self.operation))

    def __call__(self, tensors: dict[Symbol, Any]) -> list:
        """Return the values of the outputs from those of the inputs."""
        values = {id(t): tensors[s] for t, s in zip(self._node.input_tensors, self.inputs, strict=True)}
        arguments, keywords = self._node.arguments.fill_in(values)
        return keras.tree.flatten(self.operation(*arguments, **keywords))


class Graph:
    """A model as the flat list of its calls, those of the models within it in their places.

    Two walks of a model give the same names.

    Args:
        model: Functional model, or Sequential model that is built.

    Attributes:
        model: as a Functional model that shares the layers.
        inputs, outputs: lists of `Symbol`s.
        calls: list of `Call`s in topological order.
        makers: `{Symbol: the Call that gives it}`.
        takers: `{Symbol: list of the Calls that take it}`.

    Raises:
        ValueError: the model is another one.
    """

    def __init__(self, model: keras.Model):
        self.model = as_functional(model)
        self.calls: list[Call] = []
        self._uses: collections.Counter[str] = collections.Counter()
        self.inputs = [Symbol(tensor.shape, tensor.dtype) for tensor in self.model.inputs]
        self.outputs = self._inline(self.model, self.inputs, "")
        self.makers = {symbol: call for call in self.calls for symbol in call.outputs}
        self.takers: dict[Symbol, list[Call]] = collections.defaultdict(list)
        for call in self.calls:
            for symbol in call.inputs:
                self.takers[symbol].append(call)

    def _inline(self, model, inputs, prefix):
        """Append the calls of a model and return the symbols of its outputs."""
        symbols = {id(tensor): symbol for tensor, symbol in zip(model.inputs, inputs, strict=True)}
        # `operation.input` would be that of the operation's first call anywhere: `Sequential.add` calls all layers
        # again, and other models may share them.
        levels = sorted(model._nodes_by_depth.items(), reverse=True)
        for node in (node for _, level in levels for node in level if not node.is_input):
            operation, name = node.operation, prefix + node.operation.name
            self._uses[name] += 1
            if self._uses[name] > 1:
                name = f"{name}_call{self._uses[name]}"
            received = [symbols[id(tensor)] for tensor in node.input_tensors]
            within = _models_within(operation, node)
            if within is not None:
                produced = self._inline(within, received, f"{name}_")
            else:
                produced = [Symbol(tensor.shape, tensor.dtype) for tensor in node.outputs]
                self.calls.append(Call(name, node, received, produced))
            symbols |= {id(tensor): symbol for tensor, symbol in zip(node.outputs, produced, strict=True)}
        return [symbols[id(tensor)] for tensor in model.outputs]

    def once(self, kind: Any = keras.Operation) -> dict[str, Call]:
        """Return `{name: Call}` of the operations of a kind.

        Raises:
            ValueError: one of them is called more than once, so that its weights and windows belong to several calls.
        """
        found = [call for call in self.calls if isinstance(call.operation, kind)]
        uses = collections.Counter(id(call.operation) for call in found)
        if shared := sorted({call.operation.name for call in found if uses[id(call.operation)] > 1}):
            raise ValueError(f"Expected layers that are used once. Received: {', '.join(shared)} used more often")
        return {call.name: call for call in found}

    def run(self, inputs: Sequence, calls: Sequence[Call] | None = None) -> dict[Symbol, Any]:
        """Evaluate calls one by one, in inference, and return the values of all symbols.

        Args:
            inputs: a batch for each input of the graph.
            calls: those to evaluate; None for all.
        """
        tensors = dict(zip(self.inputs, inputs, strict=True))
        for call in self.calls if calls is None else calls:
            tensors |= zip(call.outputs, call(tensors), strict=True)
        return tensors

    def needed(self, wanted: Sequence[Symbol]) -> list[Call]:
        """Return the calls that some symbols depend on, in topological order."""
        symbols = set(wanted)
        found = []
        for call in reversed(self.calls):
            if symbols.intersection(call.outputs):
                found.append(call)
                symbols.update(call.inputs)
        return found[::-1]

    def probe(self, wanted: Sequence[Symbol]) -> keras.Model:
        """Return a model of the same inputs and layers that gives the pair (the model's outputs, wanted tensors)."""
        tensors = self.run(self.model.inputs)
        outputs = [tensors[symbol] for symbol in self.outputs]
        packed = keras.tree.pack_sequence_as(self.model._outputs_struct, outputs)
        return keras.Model(self.model._inputs_struct, (packed, [tensors[symbol] for symbol in wanted]))

    def compiled(self, wanted: Sequence[Symbol], read: Callable[[list], Any] = list) -> Callable:
        """Return a function of one batch for each input to what `read` makes of the wanted tensors, run in a graph.

        A batch may have any size, and is cast to the inputs' types.
        """
        calls = self.needed(wanted)

        def run(*batches):
            tensors = self.run(batches, calls)
            return read([tensors[symbol] for symbol in wanted])

        return _in_a_graph(self.model, run)

    def rebuilt(self, replaced: Mapping[str, keras.Layer], kind: type[keras.Model] = keras.Model) -> keras.Model:
        """Return a new flat model with some layers replaced and copies of all others, its inputs and outputs the same.

        Args:
            replaced: `{name of a call: layer}`.
            kind: class of the model.
        """
        inputs = [
            keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name) for tensor in self.model.inputs
        ]
        tensors = dict(zip(self.inputs, inputs, strict=True))
        copies: dict[int, keras.Layer] = {}
        for call in self.calls:
            old = call.operation
            new = replaced.get(call.name, copies.get(id(old), old))
            if new is old and isinstance(old, keras.Layer):
                new = copies[id(old)] = type(old).from_config(old.get_config() | {"name": call.name})
            tensors |= zip(call.outputs, call.of(new)(tensors), strict=True)
            if new is copies.get(id(old)):
                copies[id(old)].set_weights(old.get_weights())
        structure = keras.tree.pack_sequence_as
        outputs = [tensors[symbol] for symbol in self.outputs]
        return kind(
            structure(self.model._inputs_struct, inputs),
            structure(self.model._outputs_struct, outputs),
            name=self.model.name,
        )


def _in_float64(layer):
    if isinstance(layer, keras.layers.TimeDistributed):
        return keras.layers.TimeDistributed(_in_float64(layer.layer), dtype="float64")
    twin = type(layer).from_config(layer.get_config() | {"dtype": "float64"})
    if layer.weights:
        twin.build_from_config(layer.get_build_config())
        twin.set_weights(layer.get_weights())
    return twin


def _models_within(operation, node):
    """Return an operation that holds calls of its own as a Functional model of them, or None."""
    if isinstance(operation, keras.Sequential) or hasattr(operation, "_nodes_by_depth"):
        return as_functional(operation)
    if not isinstance(operation, keras.layers.TimeDistributed) or len(node.input_tensors) != 1:
        return None
    (tensor,) = node.input_tensors
    series = keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype)
    try:
        result = in_steps(operation.layer, series, run=_run_in_steps)
    except NotImplementedError:
        return None
    # A wrapper around a single layer stays as it is.
    return None if result._keras_history.operation.name == operation.layer.name else keras.Model(series, result)


def _run_in_steps(model, tensors, call):
    (result,) = keras.tree.flatten(as_functional(model)._run_through_graph(list(tensors), call_fn=call))
    return result


def as_functional(model: Any) -> keras.Model:
    """Return a Sequential or Functional model as a Functional one that shares its layers.

    Raises:
        ValueError: the model is another one, or a Sequential model that is not built.
    """
    if isinstance(model, keras.Sequential) and model.built:
        return keras.Model(model.inputs[0] if len(model.inputs) == 1 else model.inputs, model.outputs, name=model.name)
    if hasattr(model, "operations"):
        return model
    raise ValueError(f"Expected a Functional model or a Sequential model that is built. Received: {model!r}")


def layers_of(model: Any, kind: Any) -> list:
    """Return the layers of a kind in a model and in the models within it, in their order."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += layers_of(layer, kind)
        elif isinstance(layer, kind):
            found.append(layer)
    return found


def evaluate(model: keras.Model, batches: Sequence) -> list:
    """Return the flat list of a model's outputs, in inference, for one batch for each input, in their order."""
    graph = as_functional(model)
    # Keras warns of inputs in another structure: a single tensor, a list of one and a dict are three.
    return keras.tree.flatten(graph(keras.tree.pack_sequence_as(graph._inputs_struct, list(batches)), training=False))


def compiled(model: keras.Model) -> Callable:
    """Return a function of one batch for each input that evaluates a model in a graph; its outputs are a flat list.

    `predict` would round float64 arrays to float32, and a call of the model itself runs operation by operation.
    """
    functional = as_functional(model)
    return _in_a_graph(functional, lambda *batches: evaluate(functional, batches))


def _in_a_graph(model, run):
    specifications = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs]
    # A concrete function: TensorFlow takes new functions of many models for one that is traced again and again.
    concrete = tf.function(run).get_concrete_function(*specifications)
    return lambda *batches: concrete(
        *(tf.cast(batch, tensor.dtype) for batch, tensor in zip(batches, model.inputs, strict=True))
    )
