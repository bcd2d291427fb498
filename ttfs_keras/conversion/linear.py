"""Rule for dense and convolutional layers: synapses."""

import numpy as np
from keras import activations, layers

from ttfs_keras.conversion.registry import Refusal, register_converter, unknown_activation
from ttfs_keras.conversion.values import Digital, Potential, Spikes


@register_converter(layers.Dense, layers.Conv2D)
def map_linear(layer, value, network):
    """Start a potential; a ReLU within the layer fires it, a softmax or sigmoid becomes a digital step."""
    if not isinstance(value, Spikes):
        raise Refusal("its input carries signed values, not spikes", "put a ReLU between the two linear layers")
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise Refusal("data_format is 'channels_first'", "build the model with channels_last")
    kernel = np.asarray(layer.kernel, np.float64)
    bias = np.zeros(kernel.shape[-1]) if layer.bias is None else np.asarray(layer.bias, np.float64)
    potential = Potential(layer, value, kernel, bias)
    activation = layer.activation
    if activation in (None, activations.linear):
        return potential
    if activation is activations.relu:
        return network.fire(potential)
    if activation in (activations.softmax, activations.sigmoid):
        logits = network.read_out(potential).tensor
        step = layers.Activation(activation, name=f"{layer.name}_{activation.__name__}", dtype=layer.dtype_policy)
        return Digital(step(logits))
    raise unknown_activation(activation)
