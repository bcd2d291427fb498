"""Small random ReLU models, chains and graphs, with far from trivial weights and batch-norm statistics."""

import keras
import numpy as np
from hypothesis import HealthCheck, Phase, settings
from keras import layers

import ttfs_keras as tk
from tests.tolerances import FLOAT32, FLOAT64

# Each example builds several models, so a failing one is shown as it is.
PROPERTY = settings(
    max_examples=25,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

TOLERANCE = {"float64": FLOAT64, "float32": FLOAT32}
RANGES = ((-3.0, 3.0), (0.0, 1.0), (-1.0, 2.0))


def sequential(shape, *stack, dtype="float64", seed=0):
    """Build a chain of layers from (class, arguments) pairs, with random weights."""
    model = keras.Sequential([keras.Input(shape, dtype=dtype)])
    for n, (kind, arguments) in enumerate(stack):
        model.add(kind(**{"name": f"{kind.__name__.lower()}_{n}", "dtype": dtype} | arguments))
    return randomize(model, seed)


def conv(filters=4, kernel_size=3, **arguments):
    return layers.Conv2D, {"filters": filters, "kernel_size": kernel_size, "activation": "relu"} | arguments


def dense(units=3, **arguments):
    return layers.Dense, {"units": units} | arguments


def norm(**arguments):
    return layers.BatchNormalization, arguments


def pool(**arguments):
    return layers.MaxPooling2D, arguments


FLATTEN = (layers.Flatten, {})
RELU = (layers.ReLU, {})


def randomize(model, seed=0):
    """Draw weights of the size that He's rule gives; statistics far from 0 and 1, some gammas negative, some zero."""
    random = np.random.default_rng(seed)
    for layer in _layers(model):
        if isinstance(layer, layers.BatchNormalization):
            channels = layer.moving_mean.shape
            if layer.gamma is not None:
                layer.gamma.assign(random.normal(0, 1, channels) * (random.uniform(size=channels) > 0.2))
            if layer.beta is not None:
                layer.beta.assign(random.normal(0, 1, channels))
            layer.moving_mean.assign(random.normal(0, 2, channels))
            layer.moving_variance.assign(random.uniform(0.2, 4, channels))
        elif isinstance(layer, layers.PReLU):
            layer.alpha.assign(random.uniform(-0.5, 1, layer.alpha.shape))
        elif not isinstance(layer, layers.Normalization):
            for weight in layer.trainable_weights:
                depthwise = "depthwise" in f"{weight.name} {type(layer).__name__.lower()}"
                fan_in = np.prod(weight.shape[: -2 if depthwise and weight.name != "pointwise_kernel" else -1])
                scale = 0.5 if weight.name == "bias" else np.sqrt(2 / fan_in)
                weight.assign(random.normal(0, scale, weight.shape))
    return model


def _layers(model):
    """Yield the layers of a model and of those in it, once each."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def images(model, input_range=(0.0, 1.0), samples=6, seed=1):
    """Return inputs of a model over the whole range, its ends included; a list for several inputs."""
    random = np.random.default_rng(seed)
    shapes = [(samples, *symbol.shape[1:]) for symbol in model.inputs]
    found = [random.uniform(-0.1, 1.1, shape).clip(0, 1) * np.ptp(input_range) + input_range[0] for shape in shapes]
    return found if len(found) > 1 else found[0]


def outputs(model, x):
    """Return the outputs of a model for each sample, all in a row; not by `predict`, which casts to float32."""
    found = keras.tree.flatten(model(x, training=False))
    return np.concatenate([np.asarray(values, np.float64).reshape(len(values), -1) for values in found], -1)


def error(model, other, x):
    """Return the largest difference of their outputs, relative to the largest output."""
    expected = outputs(model, x)
    return np.abs(outputs(other, x) - expected).max() / (np.abs(expected).max() or 1)


def activations(model, some, x):
    """Return the outputs of some layers of a model."""
    probe = keras.Model(model.inputs, [layer.output for layer in some])
    return [np.asarray(values) for values in keras.tree.flatten(probe([x]))]


def spiking(snn):
    """Return the layers of neurons."""
    return [layer for layer in snn.layers if isinstance(layer, tk.TTFSNeuron | tk.TTFSDense | tk.TTFSConv2D)]
