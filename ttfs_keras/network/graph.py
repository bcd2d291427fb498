"""The calls within a Keras model; the one place that touches Keras's private graph and operation classes."""

import collections
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras.src.ops import nn as raw_nn
from keras.src.ops import numpy as raw_numpy

# `keras.ops` functions on symbolic tensors leave these operations in the graph.
RAW_RELU, RAW_RELU6, RAW_LEAKY_RELU = raw_nn.Relu, raw_nn.Relu6, raw_nn.LeakyRelu
RAW_ADD, RAW_SUBTRACT = raw_numpy.Add, raw_numpy.Subtract


class Call(NamedTuple):
    """One use of an operation in a model, with the symbolic tensors that it takes and gives there."""

    operation: Any  # keras.Operation
    inputs: list
    outputs: list
    node: Any


def as_functional(model):
    """Return a Sequential or Functional model as a Functional one that shares its layers.

    Raises:
        ValueError: the model is another one, or a Sequential model that is not built.
    """
    if isinstance(model, keras.Sequential) and model.built:
        return keras.Model(model.inputs[0] if len(model.inputs) == 1 else model.inputs, model.outputs)
    if hasattr(model, "operations"):
        return model
    raise ValueError(f"Expected a Functional model or a Sequential model that is built. Received: {model!r}")


def calls(model):
    """Return the `Call`s of a Functional model in topological order, without its InputLayers.

    `operation.input` would be that of the operation's first call anywhere: `Sequential.add` calls all layers again, and
    other models may share them.
    """
    levels = sorted(model._nodes_by_depth.items(), reverse=True)
    nodes = [node for _, level in levels for node in level if not node.is_input]
    return [Call(node.operation, node.input_tensors, node.outputs, node) for node in nodes]


def is_model(operation):
    """Return whether an operation is a model whose own calls can be walked."""
    return isinstance(operation, keras.Sequential) or hasattr(operation, "_nodes_by_depth")


class Names:
    """Names for calls, in the order of a walk: the layer's own, with a number from its second call on.

    Every walk of a model with a new `Names` gives the same names.
    """

    def __init__(self):
        self._counts: collections.Counter[str] = collections.Counter()

    def __call__(self, operation, prefix):
        """Return the name of the next call of `operation` within the nested models named in `prefix`."""
        name = prefix + operation.name
        self._counts[name] += 1
        return name if self._counts[name] == 1 else f"{name}_call{self._counts[name]}"


def walk(model):
    """Return [(name, `Call`)] of a model and of the models in it, in the order of computation, named by `Names`."""
    return list(_walk(as_functional(model), "", Names()))


def _walk(graph, prefix, names):
    for call in calls(graph):
        name = names(call.operation, prefix)
        yield name, call
        if is_model(call.operation):
            yield from _walk(as_functional(call.operation), f"{name}_", names)


def visit(model, inputs, each):
    """Evaluate a model call by call, nested models too, and return the list of its outputs.

    Args:
        model: Sequential or Functional model.
        inputs: list of batches `(batch, ...)`, one for each input.
        each: function of (name, tensors received, tensors produced), called after each call of `walk`.
    """
    return _visit(as_functional(model), inputs, "", Names(), each)


def _visit(graph, inputs, prefix, names, each):
    tensors = {id(symbol): tensor for symbol, tensor in zip(graph.inputs, inputs, strict=True)}
    for call in calls(graph):
        name = names(call.operation, prefix)
        received = [tensors[id(symbol)] for symbol in call.inputs]
        if is_model(call.operation):
            produced = _visit(as_functional(call.operation), received, f"{name}_", names, each)
        else:
            arguments, keywords = call.node.arguments.fill_in(tensors)
            produced = keras.tree.flatten(call.operation(*arguments, **keywords))
        tensors |= {id(symbol): tensor for symbol, tensor in zip(call.outputs, produced, strict=True)}
        each(name, received, produced)
    return [tensors[id(symbol)] for symbol in graph.outputs]


def trace(model, inputs, wanted):
    """Evaluate a model call by call and return `{name: tensor}` of the wanted calls; see `visit`."""
    found: dict[str, Any] = {}

    def keep(name, _, produced):
        if name in wanted:
            found[name] = produced[0]

    visit(model, inputs, keep)
    return found


def evaluate(model, batches):
    """Return the flat list of a model's outputs, in inference, for one batch for each input, in their order."""
    graph = as_functional(model)
    # Keras warns of inputs in another structure: a single tensor, a list of one and a dict are three.
    return keras.tree.flatten(graph(keras.tree.pack_sequence_as(graph._inputs_struct, list(batches)), training=False))


def compiled(model):
    """Return a function of one batch for each input that evaluates a model in a graph; its outputs are a flat list.

    `predict` would round float64 arrays to float32, and a call of the model itself runs operation by operation.
    """
    graph = as_functional(model)
    return _in_a_graph(graph, lambda *batches: evaluate(graph, batches))


def observed(model, observe):
    """Return a function of one batch for each input to (what was observed of the calls, the outputs), in a graph.

    Args:
        model: Sequential or Functional model.
        observe: function of (name, tensors received, tensors produced) of each call, see `visit`, to a tensor or None.
    """
    graph = as_functional(model)

    def run(*batches):
        seen = []
        outputs = visit(graph, batches, lambda *call: seen.append(observe(*call)))
        return [value for value in seen if value is not None], outputs

    return _in_a_graph(graph, run)


def _in_a_graph(graph, run):
    specifications = [tf.TensorSpec(symbol.shape, symbol.dtype) for symbol in graph.inputs]
    # A concrete function: TensorFlow takes new functions of many models for one that is traced again and again.
    concrete = tf.function(run).get_concrete_function(*specifications)
    return lambda *batches: concrete(
        *(tf.cast(batch, symbol.dtype) for batch, symbol in zip(batches, graph.inputs, strict=True))
    )
