"""Starting a spiking network from the weights of a trained ReLU network of the same architecture."""

from typing import Any

import keras
import numpy as np
from keras import layers

from ttfs_keras.network.graph import Graph, layers_of
from ttfs_keras.stbp.decoders import Decoder
from ttfs_keras.stbp.encoders import BernoulliEncoder, DirectEncoder, FirstSpikeEncoder
from ttfs_keras.stbp.lif import LIF
from ttfs_keras.stbp.rates import firing_rates
from ttfs_keras.stbp.tdbn import ThresholdDependentBatchNormalization
from ttfs_keras.stbp.time import RepeatSteps, without_time

WITHOUT_TWIN = (DirectEncoder, BernoulliEncoder, RepeatSteps, Decoder)


def relu_twin(model: keras.Model) -> keras.Model:
    """Return the untrained ReLU network with the architecture of a spiking one, layer by layer of the same name.

    Encoder, repeated steps and decoder fall away; `LIF` becomes ReLU, the batch norm
    `keras.layers.BatchNormalization` with the same momentum and epsilon, a folded layer the layer itself.

    Shapes: of the twin: images `(batch, height, width, channels)` to logits `(batch, classes)`.

    Args:
        model: Functional model of STBP layers that takes images.

    Raises:
        ValueError: lists what has no twin: inputs that are sequences, a latency code, a read-out of spike rates.

    Example:
        >>> twin = stbp.relu_twin(stbp.resnet9((8, 8, 1), 10))
        >>> type(twin.get_layer("stem_lif")).__name__
        'ReLU'
    """
    graph = Graph(model)
    problems = [f"sequences {symbol.shape} as inputs" for symbol in graph.inputs if len(symbol.shape) == 5]
    problems += [f"the latency code {name}" for name in graph.once(FirstSpikeEncoder)]
    for name, call in graph.once(LIF).items():
        if any(isinstance(taker.operation, Decoder) for taker in graph.takers[call.outputs[0]]):
            problems.append(f"the read-out neurons {name}")
    if problems:
        raise ValueError(f"relu_twin: expected images, a rate code and logits. Received: {'; '.join(problems)}")

    def apply(layer, *args, **kwargs):
        return args[0] if isinstance(layer, WITHOUT_TWIN) else layer(*args, **kwargs)

    return keras.models.clone_model(graph.model, clone_function=_twin, call_function=apply)


def _twin(layer):
    options = {"name": layer.name, "dtype": layer.dtype_policy}
    if isinstance(layer, WITHOUT_TWIN):
        return layer
    if isinstance(layer, LIF):
        return layers.ReLU(**options)
    if isinstance(layer, ThresholdDependentBatchNormalization):
        return layers.BatchNormalization(momentum=layer.momentum, epsilon=layer.epsilon, **options)
    inner = without_time(layer)
    return type(inner).from_config({**inner.get_config(), "name": layer.name})


def from_relu(model: keras.Model, relu: keras.Model, x: Any, firing_share: float = 0.25) -> keras.Model:
    """Give a spiking network the weights of its trained ReLU twin, in place, and return it.

    A potential theta of the twin becomes the threshold V_th, where theta is the potential that a share of the layer's
    neurons exceeds on the data. Of each batch norm before these neurons

        gamma <- gamma/(alpha theta),  beta <- V_th beta/theta

    Its statistics are taken from the spikes that the network itself emits on the data, so that each channel has the
    mean and deviation that it has in the twin although a spike carries less than an activation. Linear layers without
    batch norm, as the read-out, are scaled by the twin's mean activation per spike.

    Args:
        model: Functional model of STBP layers.
        relu: its trained `relu_twin`.
        x: inputs `(samples, ...)` like those of training; a few hundred are enough.
        firing_share: in (0, 1). A quarter is a little more than what exceeds one standard deviation of a normal
            distribution, where the batch norm's theory starts a network.

    Raises:
        ValueError: firing_share is outside its range, or layers of the two networks do not match; lists all of them.

    Example:
        >>> model = stbp.resnet9((8, 8, 1), 10)
        >>> stbp.from_relu(model, stbp.relu_twin(model), np.random.default_rng(0).uniform(size=(20, 8, 8, 1))) is model
        True
    """
    if not 0 < firing_share < 1:
        raise ValueError(f"Expected firing_share in (0, 1). Received: firing_share={firing_share}")
    graph = Graph(model)
    _check_twins(model, relu)
    theta, activation = _operating_points(relu, x, graph.once(LIF), firing_share)

    def unit(call):
        """Return the potential of the neurons that a layer feeds per potential of the twin; 1 for the read-out."""
        while call is not None and not isinstance(call.operation, LIF):
            call = next(iter(graph.takers[call.outputs[0]]), None)
        return 1.0 if call is None else float(call.operation.parameters("float64")[0]) / theta[call.operation.name]

    bare = []
    for name, call in graph.once(keras.Layer).items():
        layer = call.operation
        if isinstance(layer, ThresholdDependentBatchNormalization):
            twin = relu.get_layer(name)
            layer.gamma.assign(np.array(twin.gamma) * unit(call) / (layer.alpha * layer.threshold))
            layer.beta.assign(np.array(twin.beta) * unit(call))
        elif without_time(layer).weights and not isinstance(layer, LIF | BernoulliEncoder):
            without_time(layer).set_weights(relu.get_layer(name).get_weights())
            after = [taker.operation for taker in graph.takers[call.outputs[0]]]
            if not any(isinstance(operation, ThresholdDependentBatchNormalization) for operation in after):
                bare.append(call)
    _take_statistics(model, x)
    for call in bare:
        linear = without_time(call.operation)
        linear.kernel.assign(np.array(linear.kernel) * (_worth(call, graph, x, activation) * unit(call)))
        if linear.bias is not None:
            linear.bias.assign(np.array(linear.bias) * unit(call))
        _take_statistics(model, x)
    return model


def _worth(call, graph, x, activation):
    """Return the twin's mean activation per spike of the neurons that feed a layer; 1 where the image does."""
    while call is not None and not isinstance(call.operation, LIF):
        call = graph.makers.get(call.inputs[0])
    if call is None:
        return 1.0
    name = call.name
    rate = firing_rates(graph.model, x)[name]
    return activation[name] / rate if rate else 1.0


def _check_twins(model, relu):
    expected = {layer.name: [tuple(w.shape) for w in layer.weights] for layer in relu_twin(model).layers}
    received = {layer.name: [tuple(w.shape) for w in layer.weights] for layer in relu.layers}
    wrong = [
        f"{name} with weights {received.get(name, 'missing')} instead of {shapes}"
        for name, shapes in expected.items()
        if shapes and received.get(name) != shapes
    ]
    if wrong:
        raise ValueError(f"from_relu: expected the model's ReLU twin. Received: {'; '.join(wrong)}")


def _operating_points(relu, x, neurons, share):
    """Return `{name: potential that a share of neurons exceeds}` and `{name: mean activation}` of a ReLU network."""
    twin = Graph(relu)
    found = twin.once(layers.ReLU)
    potentials = twin.compiled([found[name].inputs[0] for name in neurons])(x)
    theta, activation = {}, {}
    for name, potential in zip(neurons, map(np.asarray, potentials), strict=True):
        positive = potential[potential > 0]
        quantile = np.quantile(potential, 1 - share)
        # Where fewer neurons than that are ever positive, the mean of those; a dead layer has no scale.
        theta[name] = float(quantile if quantile > 0 else positive.mean() if positive.size else 1.0)
        activation[name] = float(np.maximum(potential, 0).mean())
    return theta, activation


def _take_statistics(model, x):
    """Make the moving statistics of all batch norms those of one batch, without weighing in older ones."""
    norms = layers_of(model, ThresholdDependentBatchNormalization)
    momenta = [layer.momentum for layer in norms]
    try:
        for layer in norms:
            layer.momentum = 0.0
        model(keras.ops.convert_to_tensor(x), training=True)
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
