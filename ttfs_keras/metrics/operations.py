"""How many weights a network applies to one input."""

import keras
import tensorflow as tf

from ttfs_keras.bats.multi_spike import MultiSpikeLayer
from ttfs_keras.metrics.activity import emitters
from ttfs_keras.network.graph import observed, walk
from ttfs_keras.stbp.time import TimeFolded, fold_time


def synaptic_operations(model, x, batch_size=32):
    """Return how many weights a network applies to an input, a mean over samples.

    A ReLU network multiplies by every weight at every position. A spiking network adds a weight for each spike that
    reaches it: multi-spike neurons for every spike, networks with time steps at every step; where a layer takes values
    that are not spikes, such as the image of a direct encoder, each that is not 0 counts.

    Args:
        model: Functional or Sequential model of dense and two-dimensional convolutional layers, ReLU, TTFS, BATS, STBP.
        x: inputs `(samples, ...)`, at least one.
        batch_size: samples at a time.

    Raises:
        ValueError: a layer with weights is of another kind; lists all of them.
    """
    found = {name: call.operation for name, call in walk(model) if hasattr(_inner(call.operation), "kernel")}
    other = [layer.name for layer in found.values() if not _countable(_inner(layer))]
    if other:
        raise ValueError(f"synaptic_operations: expected dense and plain 2-D convolutional layers. Received: {other}")
    spiking = bool(emitters(model))
    run = observed(model, lambda name, received, _: received[0] if name in found else None)
    total = 0.0
    for at in range(0, len(x), batch_size):
        received, _ = run(x[at : at + batch_size])
        for layer, value in zip(found.values(), received, strict=True):
            total += float(_operations(layer, value, spiking))
    return total / len(x)


def _inner(layer):
    return layer.layer if isinstance(layer, TimeFolded) else layer


def _countable(layer):
    plain = getattr(layer, "groups", 1) == 1 and set(getattr(layer, "dilation_rate", (1,))) == {1}
    return plain and len(layer.kernel.shape) in (2, 4)


def _operations(layer, value, spiking):
    if isinstance(layer, MultiSpikeLayer):
        active = tf.math.count_nonzero(tf.math.is_finite(value), axis=-1)
    else:
        active = value != 0 if spiking else tf.ones_like(value)
    active = tf.cast(active, tf.float32)
    if isinstance(layer, TimeFolded):
        active = fold_time(active)
    linear = _inner(layer)
    if len(linear.kernel.shape) == 2:
        return tf.reduce_sum(active) * linear.kernel.shape[-1]
    height, width, channels, filters = linear.kernel.shape
    ones = tf.ones((height, width, channels, 1))
    strides, padding = getattr(linear, "strides", (1, 1)), getattr(linear, "padding", "valid").upper()
    if isinstance(linear, keras.layers.DepthwiseConv2D):
        windows = tf.nn.depthwise_conv2d(active, ones, (1, *strides, 1), padding)
    else:
        windows = tf.nn.conv2d(active, ones, strides, padding)
    return filters * tf.reduce_sum(windows)
