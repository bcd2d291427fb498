"""Rule for dense and convolutional layers of every kind: synapses."""

from ttfs_keras.conversion.activations import apply_activation
from ttfs_keras.conversion.registry import register_converter
from ttfs_keras.conversion.values import Deferred, channels_last, refuse_digital
from ttfs_keras.network.fold import LINEAR


@register_converter(*LINEAR)
def map_linear(call, values, network):
    """Defer the synapses, so that what follows can fold into them, and apply the layer's activation."""
    (value,), layer = values, call.operation
    refuse_digital(value)
    channels_last(layer)
    synapses = Deferred(call.shape, layer=layer, source=value, name=call.name)
    return apply_activation(layer.activation, synapses, network, call)
