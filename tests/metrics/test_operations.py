import keras
import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from ttfs_keras import bats, stbp
from ttfs_keras.metrics.operations import synaptic_operations


def images(seed=0, shape=(6, 6, 6, 2)):
    return np.random.default_rng(seed).uniform(0.1, 1, shape).astype("float32")


def small_relu():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(3, 3, strides=2, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )


def test_a_relu_network_applies_every_weight():
    # 'same' borders at stride 2 on 6 x 6: 3 x 3 windows, of which the last ones of a row or column see 2 of 3 pixels.
    rows = 3 + 3 + 2
    expected = rows * rows * 2 * 3 + 9 * 3 * 2 + 6 * 4
    assert synaptic_operations(small_relu(), images()) == expected


def test_a_mapped_network_applies_the_weights_of_its_spikes():
    relu = keras.Sequential([keras.Input((5,)), layers.Dense(7, activation="relu"), layers.Dense(4)])
    x = np.random.default_rng(0).uniform(0.1, 1, (10, 5)).astype("float32")
    snn = tk.convert(relu, x)
    times = tk.spike_times(snn, x)
    encoder, hidden = (np.isfinite(t).sum() / len(x) for t in times.values())
    assert synaptic_operations(snn, x, batch_size=3) == pytest.approx(encoder * 7 + hidden * 4)


def test_multi_spike_layers_count_every_spike():
    inputs = keras.Input((6, 6, 2))
    x = bats.BATSConv2D(3, 3, threshold=0.02, name="conv")(bats.LatencyEncoder()(inputs))
    model = keras.Model(inputs, bats.BATSDense(4, name="output")(bats.FlattenSpikes()(x)))
    values = images()
    trains = np.asarray(keras.Model(inputs, x)(values))
    first = sum((values[:, y : y + 3, z : z + 3] > 0).sum() for y in range(4) for z in range(4)) * 3
    expected = (first + np.isfinite(trains).sum() * 4) / len(values)
    assert np.isfinite(trains).any()
    assert synaptic_operations(model, values) == pytest.approx(expected)


def test_time_steps_add_up():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3, 5))
    spikes = stbp.LIF()(inputs)
    model = keras.Model(inputs, layers.Dense(4)(spikes))
    x = np.random.default_rng(0).uniform(0, 1, (8, 3, 5)).astype("float32")
    emitted = np.asarray(keras.Model(inputs, spikes)(x)).sum()
    assert emitted and synaptic_operations(model, x) == pytest.approx(emitted * 4 / len(x))


def test_other_layers_are_named():
    model = keras.Sequential([keras.Input((8, 2)), layers.Conv1D(3, 2, name="line"), layers.ReLU()])
    with pytest.raises(ValueError, match=r"plain 2-D convolutional layers\. Received: \['line'\]"):
        synaptic_operations(model, np.ones((1, 8, 2), "float32"))
