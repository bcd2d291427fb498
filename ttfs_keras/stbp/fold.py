"""Folding batch norms into the weights of the layers before them."""

import keras
import numpy as np
from keras import layers

from ttfs_keras.network.fold import LINEAR, fold_output, weights_of
from ttfs_keras.network.graph import Graph
from ttfs_keras.stbp.tdbn import ThresholdDependentBatchNormalization, check_trained
from ttfs_keras.stbp.time import TimeFolded, without_time


def fold_tdbn(model: keras.Model) -> keras.Model:
    """Return a new model without the batch norms of a trained one, equal to it in inference.

        W' = gamma alpha V_th W/sqrt(variance + epsilon)
        b' = gamma alpha V_th (b - mean)/sqrt(variance + epsilon) + beta

    A batch norm on images that follows no linear layer of its own, as on an identity shortcut, becomes a depthwise 1x1
    convolution of the same name; one on features stays. Weights are computed in float64.

    Args:
        model: Sequential or Functional model; every layer is called once.

    Raises:
        ValueError: a batch norm has no statistics, a layer is called more than once, or the model holds another one.

    Example:
        >>> layers = [keras.layers.Dense(4), stbp.ThresholdDependentBatchNormalization(0.4), stbp.LIF()]
        >>> model = keras.Sequential([keras.Input((2, 3)), *layers])
        >>> outputs = model(np.ones((5, 2, 3)), training=True)  # gives the batch norm statistics
        >>> [type(layer).__name__ for layer in stbp.fold_tdbn(model).layers[1:]]
        ['Dense', 'LIF']
    """
    check_trained(model)
    graph = Graph(model)
    graph.once()
    if nested := [layer.name for layer in graph.model.layers if isinstance(layer, keras.Model)]:
        raise ValueError(f"fold_tdbn: expected a model without other models in it. Received: {', '.join(nested)}")
    into, replaced = _plan(graph)
    absorbed = {norm.name for norm in into.values()}
    pairs = []

    def renew(operation):
        if not isinstance(operation, keras.Layer) or operation.name in absorbed:
            return operation
        if operation.name in replaced:
            depthwise = layers.DepthwiseConv2D(1, dtype=operation.dtype_policy)
            new = TimeFolded(depthwise, name=operation.name, dtype=operation.dtype_policy)
        else:
            new = _renewed(operation, bias=operation.name in into)
        pairs.append((operation, new))
        return new

    def call(operation, *args, **kwargs):
        return args[0] if operation.name in absorbed else operation(*args, **kwargs)

    folded = keras.models.clone_model(graph.model, clone_function=renew, call_function=call)
    for old, new in pairs:
        if old.name in replaced:
            scale, offset = _affine(old)
            new.layer.set_weights([scale.reshape(1, 1, -1, 1), offset])
        elif old.name in into:
            linear = without_time(old)
            for name, value in fold_output(linear, weights_of(linear), *_affine(into[old.name])).items():
                getattr(without_time(new), name).assign(value)
        else:
            new.set_weights(old.get_weights())
    return folded


def _plan(graph):
    """Return `{name of a linear layer: its batch norm}` and the names of batch norms that become convolutions."""
    into, replaced = {}, set()
    for name, call in graph.once(ThresholdDependentBatchNormalization).items():
        source = call.inputs[0]
        maker = graph.makers.get(source)
        alone = len(graph.takers[source]) == 1 and source not in graph.outputs
        if maker is not None and alone and _is_linear(without_time(maker.operation)):
            into[maker.operation.name] = call.operation
        elif len(call.inputs[0].shape) == 5:
            replaced.add(name)
    return into, replaced


def _is_linear(layer):
    return type(layer) in LINEAR and layer.activation is keras.activations.linear


def _renewed(layer, bias):
    config = layer.get_config()
    if bias:
        (config["layer"]["config"] if isinstance(layer, TimeFolded) else config)["use_bias"] = True
    return type(layer).from_config(config)


def _affine(norm):
    """Return scale and offset `(channels,)` of a batch norm in inference, float64."""
    weights = (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    gamma, beta, mean, variance = (np.array(weight, np.float64) for weight in weights)
    scale = gamma * norm.alpha * norm.threshold / np.sqrt(variance + norm.epsilon)
    return scale, beta - mean * scale
