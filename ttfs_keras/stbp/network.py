"""What can be read off a network of STBP layers: its layers of a kind, and who feeds whom."""

import collections

import keras

from ttfs_keras.network.graph import as_functional, calls


def layers_of(model, kind):
    """Return the layers of a kind in a model, in their order, those of nested models too."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += layers_of(layer, kind)
        elif isinstance(layer, kind):
            found.append(layer)
    return found


def calls_of(model, kind):
    """Return `{layer name: Call}` of the layers of a kind that a Functional or Sequential model calls.

    Raises:
        ValueError: a layer is called more than once, so that its name does not say which call is meant.
    """
    found = [call for call in calls(as_functional(model)) if isinstance(call.operation, kind)]
    names = [call.operation.name for call in found]
    shared = sorted({name for name in names if names.count(name) > 1})
    if shared:
        raise ValueError(f"Expected layers that are called once each. Received: several calls of {', '.join(shared)}")
    return dict(zip(names, found, strict=True))


def consumers(model):
    """Return `{id of a symbolic tensor: list of the Calls that take it}`."""
    takers = collections.defaultdict(list)
    for call in calls(as_functional(model)):
        for tensor in call.inputs:
            takers[id(tensor)].append(call)
    return takers


def producers(model):
    """Return `{id of a symbolic tensor: the Call that makes it}`."""
    return {id(tensor): call for call in calls(as_functional(model)) for tensor in call.outputs}
