"""Rules for layers where branches meet: their spikes arrive together, since skips are delayed."""

from keras import layers

from ttfs_keras.conversion.registry import register_converter
from ttfs_keras.conversion.values import widest
from ttfs_keras.network import raw


@register_converter(layers.Add, layers.Subtract, layers.Average)
def map_merge(call, values, network):
    """Sum the potentials that the branches give."""
    return network.summed(call, values, dtype=widest([network.realise(value) for value in values]))


@register_converter(layers.Concatenate)
def map_concatenate(call, values, network):
    """Set the branches side by side, with their scales and offsets."""
    return network.moved(call, values)


@register_converter(layers.Maximum)
def map_maximum(call, values, network):
    """Add to the first what the second is above it: max(a, b) = a + max(b - a, 0)."""
    return network.extreme(call, values, largest=True)


@register_converter(layers.Minimum)
def map_minimum(call, values, network):
    """Subtract from the first what it is above the second: min(a, b) = a - max(a - b, 0)."""
    return network.extreme(call, values, largest=False)


@register_converter(raw.CUSTOM_SCALE)
def map_custom_scale(call, values, network):
    """Add to the first the second times a number."""
    first, second = values
    return network.sum([first, network.affine(second, call.operation.scale, 0.0)], [], call.name)
