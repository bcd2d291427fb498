from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import ttfs_keras as tk
from tests.tolerances import FLOAT64, GRADIENT, TRAINING
from ttfs_keras.ttfs import parameterization

DIGITS = Path(tk.__file__).parent / "data" / "digits.npz"
HIDDEN, WIDTH, BATCH = 7, 64, 128
WEIGHTS = np.array([[0.5, -0.25, 1.0], [0.25, 0.75, -3.0]])
OFFSETS = np.array([1.0, -2.0, 3.0])


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 1, 3)])
@pytest.mark.parametrize(("name", "slope", "before"), [("b1", [1, 1, 1], 0), ("alpha1", [1.75, 1.5, -1], 1)])
def test_slopes_and_effective_weights_are_those_of_the_paper(name, slope, before, shape):
    found = parameterization.get(name)
    weights = WEIGHTS.reshape(shape)
    np.testing.assert_array_equal(found.slope(tf.constant(weights)), slope)
    assert found.initial_slope == before
    effective, biases = found.effective(tf.constant(weights), tf.constant(OFFSETS))
    np.testing.assert_allclose(effective, weights / slope, rtol=0, atol=FLOAT64)
    np.testing.assert_allclose(biases, OFFSETS / slope, rtol=0, atol=FLOAT64)
    assert found.effective(tf.constant(weights), None)[1] is None


@pytest.mark.parametrize("name", ["b1", "alpha1"])
def test_names_and_instances_are_found(name):
    found = parameterization.get(name)
    assert parameterization.get(found) is found
    assert parameterization.name(found) == name


@pytest.mark.parametrize("identifier", ["B1", "alpha2", None, 1, parameterization.B1])
def test_an_unknown_parameterization_is_refused(identifier):
    with pytest.raises(ValueError, match="parameterization: expected one of"):
        parameterization.get(identifier)


@pytest.mark.parametrize("name", ["b1", "alpha1"])
def test_gradient_of_spike_times_is_that_of_the_paper(name):
    """dt_i/dW_ij = (t_j - t_i)/B_i for alpha1 and t_j - t_min for B1; dt_i/dD_i = -1/B_i, where a neuron fires."""
    random = np.random.default_rng(0)
    layer = tk.TTFSDense(6, parameterization=name, window=4.0, dtype="float64")
    layer.build((None, 5))
    layer.kernel.assign(random.normal(0, 0.2, (5, 6)))
    layer.bias.assign(random.normal(0, 0.2, 6))
    lead = random.uniform(0, 1, (1, 5))
    with tf.GradientTape() as tape:
        output = layer(lead)
    to_weights, to_offsets = tape.gradient(output, [layer.kernel.value, layer.bias.value])
    spiking = (output.numpy()[0] > 0) & (output.numpy()[0] < 4)
    assert spiking.any() and not spiking.all()
    # Times from t_min on; a lead time is t_max - t.
    before, after = -lead[0][:, None], 4.0 - output.numpy()
    slope = layer.slope((None, 5)).numpy()
    to_time = before * np.ones(6) if name == "b1" else (before - after) / slope
    if name == "alpha1":
        # theta holds B (t_max - t_min) + A (t_min - t_min_prev), which the window moves with the weights.
        to_time = to_time + 4.0 / slope
    np.testing.assert_allclose(to_weights, -to_time * spiking, rtol=GRADIENT, atol=GRADIENT)
    np.testing.assert_allclose(to_offsets, spiking / slope, rtol=GRADIENT, atol=GRADIENT)


MODELS = {
    "b1": ("b1", lambda seed: keras.initializers.HeNormal(seed)),
    "smart": ("alpha1", lambda seed: tk.SmartAlpha1(keras.initializers.HeNormal(seed))),
    "naive": ("alpha1", lambda seed: tk.NaiveAlpha1(keras.initializers.HeNormal(seed))),
}


def jacobians(model, seeds, width=340):
    """Return the spectral radii of the Jacobians of hidden layers, and all their slopes."""
    name, initializer = MODELS[model]
    radii, slopes = [], []
    for seed in range(seeds):
        lead = tf.random.stateless_uniform((1, width), [seed, 0], dtype=tf.float64)
        for index in range(HIDDEN):
            layer = tk.TTFSDense(
                width, parameterization=name, kernel_initializer=initializer(100 * seed + index), window=1e30,
                window_rule=tk.FixedWindow(), dtype="float64",
            )  # fmt: skip
            # One row per output, each asked for the gradient of its own: the rows of the Jacobian.
            rows = tf.repeat(lead, width, 0)
            with tf.GradientTape() as tape:
                tape.watch(rows)
                output = layer(rows)
            jacobian = tape.gradient(output, rows, tf.eye(width, dtype=tf.float64)).numpy()
            radii.append(abs(np.linalg.eigvals(jacobian)).max())
            slopes.append(layer.slope((None, width)).numpy())
            # Homogeneity: the scale of the inputs does not enter, so that exploding ones can be kept in range.
            lead = output[:1] / tf.reduce_max(output)
    return np.array(radii), np.concatenate(slopes)


@pytest.mark.parametrize("model", ["b1", "smart"])
def test_spikes_of_one_layer_move_those_of_the_next_by_about_as_much(model):
    radii, slopes = jacobians(model, seeds=2)
    assert 0.8 < np.median(radii) < 1.2
    assert radii.max() < 1.4
    assert (slopes > 0).all()


def test_naive_initialization_explodes_and_inverts_a_quarter_of_the_slopes():
    radii, slopes = jacobians("naive", seeds=4)
    assert np.median(radii) > 3
    assert radii.max() > 50
    assert 0.20 < (slopes <= 0).mean() < 0.28


def deep_model(hidden, readout):
    """Return a model of 7 hidden layers and a read-out on 8x8 digits."""
    layers = [keras.Input((64,), dtype="float64"), *(hidden(seed) for seed in range(HIDDEN)), readout]
    return keras.Sequential(layers)


def spiking_model(model):
    name, initializer = MODELS[model]

    def hidden(seed):
        options = {"parameterization": name, "kernel_initializer": initializer(seed), "dtype": "float64"}
        return tk.TTFSDense(WIDTH, **options)

    return deep_model(hidden, tk.TTFSReadout(10, dtype="float64", kernel_initializer=keras.initializers.HeNormal(99)))


def relu_model():
    def hidden(seed):
        return keras.layers.Dense(
            WIDTH, "relu", kernel_initializer=keras.initializers.HeNormal(seed), dtype="float64"
        )  # fmt: skip

    readout = keras.layers.Dense(10, dtype="float64", kernel_initializer=keras.initializers.HeNormal(99))
    return deep_model(hidden, readout)


def train(model, optimizer, epochs):
    """Train on the real digits and return the loss of every epoch."""
    with np.load(DIGITS) as digits:
        images, labels = digits["x_train"].reshape(-1, 64) / 16.0, digits["y_train"]
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model.fit(images, labels, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0).history["loss"]


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.1),
        lambda: keras.optimizers.SGD(0.02, momentum=0.9),
        lambda: keras.optimizers.AdamW(1e-3, weight_decay=0.01),
    ],
    ids=["sgd", "momentum", "adamw"],
)
def test_b1_trains_step_for_step_as_its_relu_twin(optimizer):
    spiking, relu = spiking_model("b1"), relu_model()
    start = relu.get_weights()
    losses = train(spiking, optimizer(), epochs=30)
    train(relu, optimizer(), epochs=30)
    assert losses[-1] < 0.2 * losses[0]
    trained = [variable.numpy() for variable in spiking.trainable_variables]
    for before, expected, actual in zip(start, relu.get_weights(), trained, strict=True):
        assert abs(expected - before).max() > 0.01
        np.testing.assert_allclose(actual, expected, rtol=0, atol=TRAINING)


def test_naive_alpha1_does_not_train_at_the_rate_at_which_b1_does():
    b1, naive = (train(spiking_model(model), keras.optimizers.SGD(0.1), epochs=10) for model in ("b1", "naive"))
    assert b1[-1] < 0.5
    assert not naive[-1] < 2  # NaN, or no better than chance
