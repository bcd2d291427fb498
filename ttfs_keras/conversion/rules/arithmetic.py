"""Rules for `+ - * /`, maximum and minimum of values with constants or with one another."""

import numpy as np
from keras import layers

from ttfs_keras.conversion.activations import Ramp, ramps
from ttfs_keras.conversion.moves import of_constant
from ttfs_keras.conversion.registry import Refusal, register_converter
from ttfs_keras.conversion.rules.merging import map_maximum, map_minimum
from ttfs_keras.conversion.values import Deferred
from ttfs_keras.network import raw


@register_converter(raw.ADD)
def map_add(call, values, network):
    """Sum two branches, or shift by a constant."""
    if len(values) == 2:
        return network.sum(values, [], call.name)
    return network.affine(values[0], 1.0, of_constant(call, 0.0))


@register_converter(raw.SUBTRACT)
def map_subtract(call, values, network):
    """Subtract two branches, or shift by a constant."""
    if len(values) == 2:
        return network.sum(values[:1], values[1:], call.name)
    sign = 1.0 if call.operands[0] is call.inputs[0] else -1.0
    return network.affine(values[0], sign, of_constant(call, 0.0))


@register_converter(raw.MULTIPLY, raw.DIVIDE, raw.TRUE_DIVIDE, raw.NEGATIVE)
def map_multiply(call, values, network):
    """Scale by a constant."""
    if len(values) == 2 or (call.operands[0] is not call.inputs[0] and not isinstance(call.operation, raw.MULTIPLY)):
        raise Refusal("it multiplies or divides by values of the model", "use ReLU layers and constants")
    return network.affine(values[0], of_constant(call, 1.0), 0.0)


@register_converter(raw.MAXIMUM)
def map_raw_maximum(call, values, network):
    """Rise above a constant, c + max(v - c, 0), or above another value."""
    if len(values) == 2:
        return map_maximum(call, values, network)
    # The smallest number is the constant's: all of them are above minus infinity.
    constant = of_constant(call, -np.inf)
    return ramps(values[0], [Ramp(start=constant)], network, call, constant)


@register_converter(raw.MINIMUM)
def map_raw_minimum(call, values, network):
    """Stay below a constant, c - max(c - v, 0), or below another value."""
    if len(values) == 2:
        return map_minimum(call, values, network)
    constant = of_constant(call, np.inf)
    return ramps(values[0], [Ramp(sign=-1, start=constant, subtracted=True)], network, call, constant)


@register_converter(raw.MATMUL)
def map_matmul(call, values, network):
    """Apply a matrix of constants: the synapses of a dense layer."""
    symbol, matrix = call.inputs[0], call.operands[1]
    if len(values) == 2 or call.operands[0] is not symbol or np.ndim(matrix) != 2:
        raise Refusal("it is no product with one matrix of constants", "use layers.Dense")
    dense = layers.Dense(np.shape(matrix)[1], use_bias=False, dtype=symbol.dtype)
    dense.build(symbol.shape)
    dense.kernel.assign(np.asarray(matrix))
    return Deferred(call.shape, layer=dense, source=values[0], name=call.name)


@register_converter(raw.LAYER_SCALE)
def map_layer_scale(call, values, network):
    """Scale every channel."""
    return network.affine(values[0], np.asarray(call.operation.gamma), 0.0)
