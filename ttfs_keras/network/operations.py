"""The one definition of synaptic operations: how many weights a network applies to a sample.

A layer with weights applies one for each of its inputs that is not 0 and each output position that this input reaches:

    operations = sum over inputs j of n_j fan_out(j)

n_j is 1 for a value that is not 0, the number of spikes for a spike train, and is counted in every time step. In a
network without spikes n_j is 1 for zeros too: it multiplies all the same. Counted are the weights of hidden layers and
of the output layer, those that are 0 among them; biases, padding, pools, averages and skip connections have none.
"""

import inspect
from typing import Any

import tensorflow as tf
from keras import layers

from ttfs_keras.network.fold import LINEAR, SEPARABLE
from ttfs_keras.network.graph import Call, Graph
from ttfs_keras.network.spiking import spiking_calls


class SynapticOperations:
    """The count for each call of a layer with weights.

    Args:
        graph: of the model.

    Attributes:
        calls: the `Call`s that are counted.

    Raises:
        ValueError: lists the layers with weights whose synapses are not known.
    """

    def __init__(self, graph: Graph):
        every = not spiking_calls(graph)
        found = [call for call in graph.calls if _has_weights(call.operation)]
        self._counters = {call: _counter(call.operation, every) for call in found}
        if unknown := [call.name for call, counter in self._counters.items() if counter is None]:
            raise ValueError(
                "synaptic_operations: expected dense and convolutional layers. "
                f"Received layers with other weights: {', '.join(unknown)}"
            )
        self.calls = found

    def __call__(self, call: Call, value: Any) -> Any:
        """Return the operations of a call for the batch that it takes, a float64 scalar."""
        return self._counters[call](value)


def _has_weights(layer):
    if isinstance(layer, layers.Wrapper):
        return _has_weights(layer.layer)
    return any(hasattr(layer, name) for name in ("kernel", "depthwise_kernel", "embeddings", "cell", "linear_twin"))


def _counter(layer, every):
    """Return a function from what a layer takes to its number of operations, or None for an unknown kind."""
    if type(layer) in SEPARABLE:
        return _separable(layer, every)
    twin = linear_twin(layer)
    if twin is None:
        return None
    arriving = getattr(layer, "arriving_spikes", _not_zero)

    def count(value):
        active = tf.ones(tf.shape(value), tf.float32) if every else tf.cast(arriving(value), tf.float32)
        return tf.reduce_sum(tf.cast(twin(active), tf.float64))

    return count


def linear_twin(layer: Any) -> Any:
    """Return a layer of the same synapses without bias and neurons, all of whose weights are 1; None if unknown.

    A layer that is none of Keras's linear ones has a method of this name.
    """
    if hasattr(layer, "linear_twin"):
        return layer.linear_twin()
    if isinstance(layer, layers.TimeDistributed):
        twin = linear_twin(layer.layer)
        return None if twin is None else layers.TimeDistributed(twin)
    if isinstance(layer, layers.EinsumDense):
        return layers.EinsumDense(layer.equation, layer.output_shape, kernel_initializer="ones")
    kind = next((kind for kind in LINEAR if isinstance(layer, kind)), None)
    if kind is None:
        return None
    known, config = inspect.signature(kind.__init__).parameters, layer.get_config()
    kept = {name: value for name, value in config.items() if name in known and not name.endswith(_TRAINING)}
    ones = {name: "ones" for name in known if name.endswith("initializer") and not name.startswith("bias")}
    return kind(**kept | ones | {"activation": None, "use_bias": False, "dtype": "float32"})


_TRAINING = ("initializer", "regularizer", "constraint", "activation")


def _not_zero(value):
    return value != 0


def _separable(layer, every):
    """Return the counter of a depthwise convolution and the pointwise one behind it."""
    rank = layer.rank
    config = {name: getattr(layer, name) for name in ("strides", "padding", "dilation_rate", "data_format")}
    depthwise = getattr(layers, f"DepthwiseConv{rank}D")(
        layer.kernel_size, depth_multiplier=layer.depth_multiplier, use_bias=False, **config
    )
    depthwise.build((None,) * (rank + 1) + (layer.depthwise_kernel.shape[-2],))
    depthwise.kernel.assign(layer.depthwise_kernel)
    pointwise = getattr(layers, f"Conv{rank}D")(layer.filters, 1, use_bias=False, data_format=layer.data_format)
    stages = _counter(depthwise, every), _counter(pointwise, every)

    def count(value):
        return stages[0](value) + stages[1](depthwise(tf.cast(value, tf.float32)))

    return count
