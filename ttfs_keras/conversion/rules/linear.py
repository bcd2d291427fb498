"""Rules for dense and convolutional layers of every kind: synapses."""

from keras import layers

from ttfs_keras.conversion.activations import apply_activation
from ttfs_keras.conversion.registry import Refusal, register_converter, rule_of
from ttfs_keras.conversion.values import Deferred, channels_last
from ttfs_keras.network.fold import LINEAR


@register_converter(*LINEAR)
def map_linear(call, values, network):
    """Defer the synapses, so that what follows can fold into them, and apply the layer's activation."""
    (value,), layer = values, call.operation
    channels_last(layer)
    synapses = Deferred(call.shape, layer=layer, source=value, name=call.name)
    return apply_activation(layer.activation, synapses, network, call)


@register_converter(layers.EinsumDense)
def map_einsum_dense(call, values, network):
    """Emit the layer as it is, and apply its activation."""
    (synapses,) = network.summed(call, [network.unscaled(values[0])], activation=None)
    return apply_activation(call.operation.activation, synapses, network, call)


@register_converter(layers.SpectralNormalization)
def map_spectral_normalization(call, values, network):
    """Map the layer within, whose weights are normalized in training only."""
    inner = call.operation.layer
    if (rule := rule_of(inner)) is None:
        raise Refusal(f"it holds {type(inner).__name__}, which has no exact counterpart", "use another layer in it")
    return rule(call.of(inner), values, network)
