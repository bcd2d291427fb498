"""Rule for ReLU in its spellings as a layer of its own: the potential fires."""

from keras import activations, layers

from ttfs_keras.conversion.registry import Refusal, register_converter, unknown_activation
from ttfs_keras.conversion.values import Digital, Potential


@register_converter(layers.ReLU)
def map_relu(layer, value, network):
    """Fire."""
    if layer.negative_slope or layer.threshold or layer.max_value is not None:
        raise Refusal("it is not a plain ReLU", "use ReLU() without arguments")
    return network.fire(value)


@register_converter(layers.Activation, layers.Softmax)
def map_activation(layer, value, network):
    """Fire a ReLU; keep a softmax or sigmoid of the logits as a digital step."""
    activation = getattr(layer, "activation", activations.softmax)
    if activation is activations.relu:
        return network.fire(value)
    if activation is activations.linear:
        return value
    if activation in (activations.softmax, activations.sigmoid):
        if isinstance(value, Potential):
            value = network.read_out(value)
        if isinstance(value, Digital):
            return Digital(type(layer).from_config(layer.get_config())(value.tensor))
    raise unknown_activation(activation)
