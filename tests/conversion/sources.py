"""Small random ReLU models with far from trivial weights and batch-norm statistics."""

import keras
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from keras import layers

from tests.tolerances import FLOAT32, FLOAT64

# Each example builds two models. The same examples in every run.
PROPERTY = settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list())

TOLERANCE = {"float64": FLOAT64, "float32": FLOAT32}


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
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            channels = layer.moving_mean.shape
            if layer.gamma is not None:
                layer.gamma.assign(random.normal(0, 1, channels) * (random.uniform(size=channels) > 0.2))
            if layer.beta is not None:
                layer.beta.assign(random.normal(0, 1, channels))
            layer.moving_mean.assign(random.normal(0, 2, channels))
            layer.moving_variance.assign(random.uniform(0.2, 4, channels))
        elif layer.weights:
            fan_in = np.prod(layer.kernel.shape[:-1])
            layer.kernel.assign(random.normal(0, np.sqrt(2 / fan_in), layer.kernel.shape))
            if layer.bias is not None:
                layer.bias.assign(random.normal(0, 0.5, layer.bias.shape))
    return model


def images(model, input_range=(0.0, 1.0), samples=6, seed=1):
    """Return inputs of a model over the whole range, its ends included."""
    shape = (samples, *model.inputs[0].shape[1:])
    return np.random.default_rng(seed).uniform(-0.1, 1.1, shape).clip(0, 1) * np.ptp(input_range) + input_range[0]


def outputs(model, x):
    return np.asarray(model(x, training=False), np.float64)


def error(model, other, x):
    """Return the largest difference of their outputs, relative to outputs above 1."""
    expected = outputs(model, x)
    return np.abs(outputs(other, x) - expected).max() / max(1, np.abs(expected).max())


def chain(draw, dtype="float64"):
    """Build a model of convolutional blocks, then dense ones, then the read-out; `draw` is that of `st.data()`."""
    height, width = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    channels = draw(st.integers(1, 3))
    model = keras.Sequential([keras.Input((height, width, channels), dtype=dtype)])

    def add(kind, **arguments):
        model.add(kind(**arguments, dtype=dtype))

    def normalize():
        add(layers.BatchNormalization, scale=draw(st.booleans()), center=draw(st.booleans()))

    def fire(kind, **arguments):
        spelling = draw(st.sampled_from(("within", "ReLU", "Activation")))
        add(kind, activation="relu" if spelling == "within" else None, use_bias=draw(st.booleans()), **arguments)
        if spelling != "within":
            if draw(st.booleans()):
                normalize()
            if spelling == "ReLU":
                add(layers.ReLU)
            else:
                add(layers.Activation, activation="relu")
        if draw(st.booleans()):
            normalize()
        if draw(st.booleans()):
            add(layers.Dropout, rate=0.5)

    for block in range(draw(st.integers(0, 2))):
        *size, depth = model.output_shape[1:] if block else (height, width, channels)
        kernel = draw(st.sampled_from(((1, 1), (2, 2), (3, 3), (5, 5), (3, 1), (1, 4))))
        dilation = draw(st.sampled_from(((1, 1), (2, 2), (1, 2))))
        strides = draw(st.sampled_from(((1, 1), (2, 2), (2, 1)))) if dilation == (1, 1) else (1, 1)
        fits = all(n > (k - 1) * d for n, k, d in zip(size, kernel, dilation, strict=True))
        groups = draw(st.sampled_from((1, depth)))
        padding = draw(st.sampled_from(("same", "valid") if fits else ("same",)))
        fire(
            layers.Conv2D, filters=groups * draw(st.integers(1, 3)), kernel_size=kernel, strides=strides,
            dilation_rate=dilation, groups=groups, padding=padding,
        )  # fmt: skip
        if draw(st.booleans()):
            extent = draw(st.sampled_from((2, 3, (1, 2))))
            fits = all(n >= 3 for n in model.output_shape[1:3])
            add(
                layers.MaxPooling2D, pool_size=extent, strides=draw(st.sampled_from((None, 1, 2))),
                padding=draw(st.sampled_from(("same", "valid") if fits else ("same",))),
            )  # fmt: skip
            if draw(st.booleans()):
                normalize()
    add(layers.Flatten)
    for _ in range(draw(st.integers(0, 2))):
        fire(layers.Dense, units=draw(st.integers(1, 6)))
    add(layers.Dense, units=draw(st.integers(2, 4)))
    return randomize(model, draw(st.integers(0, 2**16)))


def activations(model, some, x):
    """Return the outputs of some layers of a model."""
    probe = keras.Model(model.inputs, [layer.output for layer in some])
    return [np.asarray(values) for values in keras.tree.flatten(probe([x]))]
