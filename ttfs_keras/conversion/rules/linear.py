"""Rule for dense and convolutional layers of every kind: synapses."""

from ttfs_keras.conversion.registry import Refusal, register_converter
from ttfs_keras.conversion.rules.activation import apply_activation
from ttfs_keras.conversion.values import Deferred, Digital
from ttfs_keras.network.fold import LINEAR


def channels_last(layer):
    """Refuse a layer whose channels come first."""
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise Refusal("data_format is 'channels_first'", "build the model with channels_last")


@register_converter(*LINEAR)
def map_linear(layer, values, network):
    """Defer the synapses, so that what follows can fold into them, and apply the layer's activation."""
    (value,) = values
    if isinstance(value, Digital):
        raise Refusal("it stands behind a softmax or sigmoid", "end the model there")
    channels_last(layer)
    return apply_activation(
        layer.activation, Deferred(network.shape, layer=layer, source=value, name=network.name), network
    )
