"""The proof on networks as they are used: trained, mapped, batch norms folded, borders and pools included."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import ttfs_keras as tk
from tests.tolerances import FLOAT64, SIMULATOR
from ttfs_keras.data import load
from ttfs_keras.models import relu_model


@pytest.fixture(scope="module")
def digits():
    return load("DIGITS", dtype="float64")


def trained(model, data, epochs):
    keras.utils.set_random_seed(0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)
    batches = tf.data.Dataset.from_tensor_slices((data.x_train, data.y_train)).batch(64)
    model.fit(batches, epochs=epochs, shuffle=False, verbose=0)
    return model


def check(source, x, calibration, input_range=(0.0, 1.0)):
    """Compare source, fast path and simulator; nothing may fire too early at the default margin."""
    snn = tk.convert(source, calibration, input_range)
    simulation = tk.simulate(snn, x)
    logits, fast = (np.asarray(model(x)) for model in (source, snn))
    scale = np.abs(logits).max()
    assert simulation.premature_spikes == simulation.saturated_spikes == 0
    assert np.abs(fast - logits).max() <= FLOAT64 * scale
    assert np.abs(simulation.outputs - fast).max() <= SIMULATOR * scale
    for name, times in tk.spike_times(snn, x).items():
        spikes = np.isfinite(times)
        assert np.array_equal(spikes, np.isfinite(simulation.spike_times[name])), name
        assert np.abs(times[spikes] - simulation.spike_times[name][spikes]).max() <= SIMULATOR * times[spikes].max()


def test_fc2_on_a_thousand_images(digits):
    source = trained(relu_model("FC2", (28, 28, 1), 10, dtype="float64"), digits, epochs=3)
    check(source, digits.x_train[:1000], digits.x_train)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["VGG", "VGG_BN"])
def test_vgg16_on_digits(digits, name):
    keras.utils.set_random_seed(0)
    source = relu_model(name, (28, 28, 1), 10, dtype="float64")
    random = np.random.default_rng(0)
    for layer in source.layers:
        if isinstance(layer, layers.BatchNormalization):
            gamma, beta, mean, variance = (np.zeros(v.shape) for v in layer.weights)
            size = len(gamma)
            gamma += random.choice([-1, 1], size) * random.uniform(0.5, 1.5, size)
            beta += random.normal(0, 0.2, size)
            layer.set_weights(
                [gamma, beta, mean + random.uniform(0, 0.5, size), variance + random.uniform(0.5, 2, size)]
            )
    check(source, digits.x_test[:2], digits.x_train[:32])


@pytest.mark.parametrize(("size", "kernel"), [(28, 5), (1, 5), (1, 3), (3, 5)])
def test_trained_convolutions_with_borders(digits, size, kernel):
    data = load("DIGITS", dtype="float64", train_samples=512)
    pixels = slice(14, 14 + size) if size < 28 else slice(None)
    x = data.x_train[:, pixels, pixels] * 6 - 3
    inputs = keras.Input(x.shape[1:], dtype="float64")
    y = inputs
    for n, norm_first in enumerate((False, True)):
        activation = None if norm_first else "relu"
        y = layers.Conv2D(6, kernel, padding="same", activation=activation, dtype="float64", name=f"conv_{n}")(y)
        y = layers.BatchNormalization(momentum=0.5, dtype="float64", name=f"norm_{n}")(y)
        if norm_first:
            y = layers.ReLU(dtype="float64", name=f"relu_{n}")(y)
        y = layers.MaxPooling2D(2, padding="same", dtype="float64", name=f"pool_{n}")(y)
    y = layers.Dense(10, dtype="float64", name="logits")(layers.Flatten(dtype="float64", name="flatten")(y))
    source = keras.Model(inputs, y)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    source.compile(keras.optimizers.Adam(1e-2), loss)
    source.fit(tf.data.Dataset.from_tensor_slices((x, data.y_train)).batch(64), epochs=2, shuffle=False, verbose=0)
    check(source, x[:20], x, input_range=(-3, 3))
