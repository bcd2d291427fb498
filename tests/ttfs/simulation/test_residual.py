"""Populations whose synapses are several layers, at the sizes that people have."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from tests import tolerances
from ttfs_keras.ttfs.simulation import composite


def unit(x, filters, kernel=3, strides=1, activation="relu"):
    x = layers.Conv2D(filters, kernel, strides, padding="same")(x)
    x = layers.BatchNormalization()(x)
    return layers.Activation(activation)(x) if activation else x


def resnet8():
    """Return MLPerf Tiny's image classifier."""
    inputs = keras.Input((32, 32, 3))
    x = unit(inputs, 16)
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        y = unit(unit(x, filters, strides=strides), filters, activation=None)
        x = x if strides == 1 else layers.Conv2D(filters, 1, strides, padding="same")(x)
        x = layers.Activation("relu")(layers.Add()([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return keras.Model(inputs, layers.Dense(10, "softmax")(x))


def before(x, filters, kernel=1, strides=1, normed=True):
    if normed:
        x = layers.Activation("relu")(layers.BatchNormalization()(x))
    return layers.Conv2D(filters, kernel, strides, padding="same")(x)


def resnet20_v2():
    """Return the ResNet v2 of 20 layers in Keras's CIFAR10 example."""
    inputs = keras.Input((32, 32, 3))
    x, filters = unit(inputs, 16), 16
    for stage in range(3):
        wide = filters * (4 if stage == 0 else 2)
        for block in range(2):
            strides = 2 if stage and not block else 1
            y = before(x, filters, strides=strides, normed=bool(stage or block))
            y = before(before(y, filters, 3), wide)
            x = x if block else layers.Conv2D(wide, 1, strides, padding="same")(x)
            x = layers.Add()([x, y])
        filters = wide
    x = layers.AveragePooling2D(8)(layers.Activation("relu")(layers.BatchNormalization()(x)))
    return keras.Model(inputs, layers.Dense(10, "softmax")(layers.Flatten()(x)))


def converted(build, shape=(32, 32, 3)):
    """Return a model with weights and statistics of every size, its network, and two images."""
    keras.utils.set_random_seed(0)
    model, generator = build(), np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            scale, offset, mean, variance = generator.normal(size=(4, layer.gamma.shape[0]))
            layer.set_weights([1 + scale / 4, offset / 4, mean / 4, np.exp(variance)])
    x = generator.uniform(size=(2, *shape)).astype("float32")
    return model, tk.convert(model, x), x


def assert_simulated(model, snn, x):
    result = tk.simulate(snn, x)
    assert result.premature_spikes == 0
    np.testing.assert_allclose(result.outputs, model(x), rtol=0, atol=tolerances.FLOAT32)
    for name, times in tk.spike_times(snn, x).items():
        end = tk.ttfs.schedule(snn)[name].end
        found = np.minimum(result.spike_times[name], end)
        np.testing.assert_allclose(found, np.minimum(times, end), rtol=0, atol=tolerances.FLOAT32 * end)


def small_residual():
    inputs = keras.Input((8, 8, 2))
    x = unit(inputs, 8)
    y = layers.DepthwiseConv2D(3, padding="same")(unit(x, 8))
    x = layers.Activation("relu")(layers.Add()([x, y]))
    x = unit(layers.Conv2D(4, 1, 2)(x), 4)
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def test_few_synapses_of_many_that_could_be(monkeypatch):
    # 512 x 1024 for the sum, if every input could reach every neuron; 10 of them do.
    monkeypatch.setattr(composite, "SYNAPSES", 512 * 24)
    assert_simulated(*converted(small_residual, (8, 8, 2)))
    monkeypatch.setattr(composite, "SYNAPSES", 512 * 10)
    with pytest.raises(ValueError, match=r"activation\w*: expected .* at most 5120 entries. Received: 12288"):
        assert_simulated(*converted(small_residual, (8, 8, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("build", [resnet8, resnet20_v2])
def test_residual_networks(build):
    assert_simulated(*converted(build))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet8", "resnet20_v2"])
def test_memory_of_residual_networks(name):
    script = "import resource; from tests.ttfs.simulation.test_residual import *\n"
    script += (
        f"_, snn, x = converted({name}); tk.simulate(snn, x); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert int(run.stdout.split()[-1]) < 4 * 2**20  # KiB
