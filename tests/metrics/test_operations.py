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


# What one sample of ones takes: for each layer by hand, output positions times taps within the image times channels.
LAYERS = {
    "strided": ((8, 8, 4), layers.Conv2D(5, 3, strides=2), 9 * 9 * 4 * 5),
    "padded": ((4, 4, 2), layers.Conv2D(3, 3, padding="same"), 10 * 10 * 2 * 3),
    "dilated": ((8, 8, 4), layers.Conv2D(5, 3, dilation_rate=2), 16 * 9 * 4 * 5),
    "grouped": ((8, 8, 4), layers.Conv2D(6, 3, groups=2), 36 * 9 * 2 * 6),
    "depthwise": ((8, 8, 4), layers.DepthwiseConv2D(3, depth_multiplier=2), 36 * 9 * 4 * 2),
    "separable": ((8, 8, 4), layers.SeparableConv2D(8, 3), 36 * 9 * 4 + 36 * 4 * 8),
    "transposed": ((8, 8, 4), layers.Conv2DTranspose(4, 2, strides=2), 64 * 4 * 4 * 4),
    "line": ((8, 2), layers.Conv1D(3, 2), 7 * 2 * 2 * 3),
    "volume": ((4, 4, 4, 2), layers.Conv3D(3, 2), 27 * 8 * 2 * 3),
    "each step": ((3, 5), layers.Dense(4, activation="softmax"), 3 * 5 * 4),
}


@pytest.mark.parametrize("name", LAYERS)
def test_each_kind_of_layer_is_counted_by_hand(name):
    shape, layer, expected = LAYERS[name]
    model = keras.Sequential([keras.Input(shape), layer])
    assert synaptic_operations(model, np.ones((2, *shape), "float32")) == expected


@pytest.mark.parametrize("name", sorted(LAYERS.keys() - {"separable"}))
def test_a_spike_is_counted_once_for_each_weight_that_it_reaches(name):
    """The sum over lone spikes is that of all of them together."""
    shape, layer, expected = LAYERS[name]
    layer = type(layer).from_config(layer.get_config())
    model = keras.Sequential([keras.Input(shape), tk.TTFSEncoder(), layer])
    size = int(np.prod(shape))
    x = np.concatenate([np.eye(size).reshape(-1, *shape), np.zeros((1, *shape))]).astype("float32")
    assert synaptic_operations(model, x) * len(x) == pytest.approx(expected)


def test_summary_and_synaptic_operations_agree_to_the_last_unit():
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    y = layers.SeparableConv2D(4, 3, padding="same")(x)
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Conv2DTranspose(3, 2, strides=2, activation="relu")(layers.AveragePooling2D(2)(x))
    x = layers.Flatten()(x)
    model = keras.Model(inputs, [layers.Dense(4)(x), layers.Dense(2)(layers.Dense(8, activation="relu")(x))])
    x = images()
    snn = tk.convert(model, x)
    found = tk.summary(snn, x)
    assert found.synaptic_operations == pytest.approx(synaptic_operations(snn, x), rel=1e-12)
    assert found.output_operations > 0 and "of the output layer" in str(found)


def test_a_converted_network_inside_another_model_is_counted():
    relu = keras.Sequential([keras.Input((5,)), layers.Dense(7, activation="relu"), layers.Dense(4)])
    x = np.random.default_rng(0).uniform(0.1, 1, (10, 5)).astype("float32")
    snn = tk.convert(relu, x)
    inputs = keras.Input((5,))
    outer = keras.Model(inputs, layers.Softmax()(snn(inputs)))
    assert synaptic_operations(outer, x) == synaptic_operations(snn, x)
    card = tk.metric_card(outer, x, np.zeros(10, int))
    assert card["latency"] == tk.metric_card(snn, x, np.zeros(10, int))["latency"] > 1
    for times, same in zip(tk.spikes(outer, x).values(), tk.spike_times(snn, x).values(), strict=True):
        np.testing.assert_array_equal(times, same)


def test_other_layers_are_named():
    model = keras.Sequential([keras.Input((8,)), layers.Embedding(3, 2, name="table"), layers.ReLU()])
    with pytest.raises(ValueError, match=r"dense and convolutional layers\. Received layers with other weights: table"):
        synaptic_operations(model, np.ones((1, 8), "float32"))
