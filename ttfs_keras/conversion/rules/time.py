"""Rule for layers that act on every step of a series."""

from keras import layers

from ttfs_keras.conversion.activations import apply_activation
from ttfs_keras.conversion.registry import Refusal, register_converter, rule_of
from ttfs_keras.conversion.values import channels_last
from ttfs_keras.network.fold import LINEAR
from ttfs_keras.ttfs.relays import passes_spikes

# Layers that do the same to values with one axis more.
_OF_ANY_RANK = (
    layers.Dense, layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.BatchNormalization,
    layers.Rescaling, layers.Normalization, layers.Dropout, layers.Identity, layers.GaussianDropout,
    layers.GaussianNoise, layers.AlphaDropout, layers.ActivityRegularization,
)  # fmt: skip


@register_converter(layers.TimeDistributed)
def map_time_distributed(call, values, network):
    """Map the layer within for all steps at once."""
    layer = call.operation.layer
    axes = getattr(layer, "axis", None)
    rule = rule_of(layer) if type(layer) in _OF_ANY_RANK and axes in (None, -1, (-1,)) else None
    if rule is not None:
        return rule(call.of(layer), values, network)
    if passes_spikes(layer):
        return network.moved(call, values)
    if type(layer) not in LINEAR:
        raise Refusal(f"it holds {type(layer).__name__}, which is not mapped for steps", "use other layers in it")
    channels_last(layer)
    linear = type(layer).from_config(layer.get_config() | {"activation": None})
    linear.build_from_config(layer.get_build_config())
    linear.set_weights(layer.get_weights())
    wrapper = layers.TimeDistributed(linear, dtype=layer.dtype_policy)
    (synapses,) = network.summed(call.of(wrapper), [network.unscaled(values[0])])
    return apply_activation(layer.activation, synapses, network, call.of(layer))
