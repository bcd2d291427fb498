"""Layers whose channels come first: their values are transposed, mapped with channels last, and transposed back."""

from collections.abc import Callable
from typing import Any

import keras

from ttfs_keras.conversion.activations import apply_activation
from ttfs_keras.network.graph import Call, Symbol


def channels_first(operation: Any) -> bool:
    """Return whether an operation is a layer whose channels come first."""
    return isinstance(operation, keras.Layer) and getattr(operation, "data_format", None) == "channels_first"


def with_channels_last(rule: Callable, call: Call, values: list, network: Any) -> Any:
    """Return what a rule makes of a layer whose channels come first, by way of its twin with channels last.

    Args:
        rule: of the layer's type.
        call: of the layer, which takes one tensor.
        values: mapped inputs.
        network: the `Network`.
    """
    layer: Any = call.operation
    rank = len(call.inputs[0].shape) - 1
    to_last, to_first = (*range(1, rank), 0), (rank - 1, *range(rank - 1))
    keeps_rank = len(call.shape) == rank + 1

    changes = {"data_format": "channels_last"} | ({"activation": None} if hasattr(layer, "activation") else {})
    twin = type(layer).from_config(layer.get_config() | changes)
    inside = call.of(twin)
    inside.inputs = [_turned(call.inputs[0], to_last)]
    inside.outputs = [_turned(call.outputs[0], to_last) if keeps_rank else call.outputs[0]]
    if getattr(layer, "activation", None) not in (None, keras.activations.linear):
        inside.name = f"{call.name}_potentials"  # the neurons behind it have the layer's own name
    if layer.weights:
        twin.build(inside.inputs[0].shape)
        twin.set_weights(layer.get_weights())
    found = rule(inside, [network.transposed(values[0], to_last, f"{call.name}_channels_last")], network)
    (value,) = found if isinstance(found, list) else [found]
    if keeps_rank:
        value = network.transposed(value, to_first, f"{call.name}_channels_first")
    return apply_activation(getattr(layer, "activation", None), value, network, call)


def _turned(symbol, axes):
    return Symbol((symbol.shape[0], *(symbol.shape[1 + axis] for axis in axes)), symbol.dtype)
