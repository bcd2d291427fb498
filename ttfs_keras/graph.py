"""The calls within a Keras model; the one place that touches Keras's private graph."""

from typing import NamedTuple

import keras


class Call(NamedTuple):
    """One use of an operation in a model, with the symbolic tensors that it takes and gives there."""

    operation: keras.Operation
    inputs: list
    outputs: list


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
    return [Call(node.operation, node.input_tensors, node.outputs) for node in nodes]
