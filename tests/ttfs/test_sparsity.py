import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import ttfs_keras as tk
from tests.tolerances import FLOAT32, FLOAT64, GRADIENT
from ttfs_keras import bats
from ttfs_keras.data import load
from ttfs_keras.network.activity import DIVIDED
from ttfs_keras.network.graph import layers_of
from ttfs_keras.ttfs.sparsity import unpenalized

layers = keras.layers
RANDOM = np.random.default_rng(0)
LEAD = np.maximum(RANDOM.normal(size=(6, 5, 3)), 0)  # half of them silent
X = RANDOM.uniform(size=(40, 8, 8, 2))
Y = RANDOM.integers(0, 3, 40)


def gradient(function, lead):
    tensor = tf.constant(lead)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        value = function(tensor)
    return np.asarray(tape.gradient(value, tensor, unconnected_gradients="zero"))


def hoyer_gradient(lead):
    """Return the gradient of (sum x)^2/(sum x^2), for each sample: small lead times shrink, large ones grow."""
    axes = tuple(range(1, lead.ndim))
    total, squares = lead.sum(axes, keepdims=True), (lead**2).sum(axes, keepdims=True)
    squares = np.where(squares > 0, squares, 1)  # of a sample without spikes
    return 2 * total / squares * (1 - lead * total / squares)


def factor(batch):
    return batch if DIVIDED else 1


def relu_network(dtype="float64"):
    """Return a residual network with a network in it and one name of a neuron for each way to write ReLU."""
    options = {"dtype": dtype}
    nested = keras.Sequential(
        [keras.Input((8, 8, 4), **options), layers.Conv2D(3, 3, padding="same", activation="relu", **options)]
    )
    inputs = keras.Input((8, 8, 2), **options)
    x = layers.Conv2D(4, 3, padding="same", **options)(inputs)
    x = layers.ReLU(**options)(layers.BatchNormalization(**options)(x))
    y = layers.Conv2D(4, 3, padding="same", **options)(nested(x))
    x = keras.ops.relu(layers.Add(**options)([x, y]))
    x = layers.MaxPooling2D(**options)(x)
    x = layers.Dense(6, **options)(layers.Flatten(**options)(x))
    return keras.Model(inputs, layers.Dense(3, **options)(layers.Activation("relu", **options)(x)))


def compiled(model, optimizer="adam"):
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def spikes_of(snn, x=X):
    return tk.metric_card(snn, x, np.zeros(len(x), int))["spikes_per_neuron"]


def test_the_l1_penalty_and_its_gradient():
    penalty = tk.ttfs.LeadTimeL1(0.3, window=4.0)
    np.testing.assert_allclose(penalty(tf.constant(LEAD)), factor(6) * 0.3 * LEAD.mean() / 4, rtol=FLOAT64)
    step, expected = 1e-6, np.zeros_like(LEAD)
    fired = 2 * step < LEAD
    for index in zip(*fired.nonzero(), strict=True):
        values = []
        for sign in (1, -1):
            changed = LEAD.copy()
            changed[index] += sign * step
            values.append(float(penalty(tf.constant(changed))))
        expected[index] = (values[0] - values[1]) / (2 * step)
    found = gradient(penalty, LEAD)
    np.testing.assert_allclose(found[fired], expected[fired], rtol=GRADIENT)


def test_the_count_is_exact_and_its_gradient_that_of_the_effective_number():
    penalty, share = tk.ttfs.SpikesPerNeuron(0.2, 0.3), (LEAD > 0).mean()
    np.testing.assert_allclose(penalty(tf.constant(LEAD)), factor(6) * 0.3 * (share - 0.2), rtol=FLOAT64)
    expected = np.where(LEAD > 0, factor(6) * 0.3 / LEAD.size * hoyer_gradient(LEAD), 0)
    np.testing.assert_allclose(gradient(penalty, LEAD), expected, rtol=FLOAT64)


def test_there_is_no_penalty_at_and_below_the_target():
    for target in ((LEAD > 0).mean(), 0.9):
        penalty = tk.ttfs.SpikesPerNeuron(target, 5.0)
        assert penalty(tf.constant(LEAD)) == 0 and not gradient(penalty, LEAD).any()


def test_empty_batches_have_no_penalty():
    for penalty in (tk.ttfs.LeadTimeL1(), tk.ttfs.SpikesPerNeuron(0.0)):
        assert penalty(tf.constant(LEAD[:0])) == 0


@pytest.mark.parametrize("penalty", [tk.ttfs.LeadTimeL1(0.3, 2.0), tk.ttfs.SpikesPerNeuron(0.1, 0.3)])
def test_as_activity_regularizers_they_save_and_do_not_depend_on_the_batch(tmp_path, penalty):
    model = keras.Sequential([keras.Input((5, 3), dtype="float64"), tk.TTFSNeuron(9.0, activity_regularizer=penalty)])
    model.save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    for batch in (LEAD, np.concatenate([LEAD, LEAD])):
        model(batch)
        np.testing.assert_allclose(model.losses, [penalty(tf.constant(LEAD)) / factor(6)], rtol=FLOAT32)
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(penalty)))
    assert keras.saving.deserialize_keras_object(saved).get_config() == penalty.get_config()


@pytest.mark.parametrize("kind", ["ReLU", "TTFS"])
def test_the_metric_is_the_cards_spikes_per_neuron_and_the_loss_its_excess(kind):
    relu = relu_network()
    snn = tk.convert(relu, X)
    sparse = compiled(tk.ttfs.sparsify(relu if kind == "ReLU" else snn, 0.125, strength=2.0))
    found, plain = (model.evaluate(X, Y, 16, verbose=0, return_dict=True) for model in (sparse, compiled(snn)))
    share = spikes_of(snn)
    np.testing.assert_allclose(found["spikes_per_neuron"], share, rtol=FLOAT32)
    np.testing.assert_allclose(found["loss"] - plain["loss"], 2 * (share - 0.125), rtol=100 * FLOAT32)
    assert "spikes_per_neuron" not in plain and spikes_of(tk.convert(relu, X)) == share


def test_the_gradient_of_the_networks_penalty_is_that_of_all_layers():
    keras.utils.set_random_seed(0)
    snn = keras.Sequential(
        [
            keras.Input((4,), dtype="float64"),
            tk.TTFSEncoder(dtype="float64"),
            tk.TTFSDense(5, window=3.0, dtype="float64"),
            tk.TTFSDense(7, window=8.0, dtype="float64"),
        ]
    )
    x = tf.constant(RANDOM.uniform(size=(6, 4)))
    sparse = tk.ttfs.sparsify(snn, 0.0, strength=1.5)
    kernel = layers_of(snn, tk.TTFSDense)[0].kernel
    with tf.GradientTape(persistent=True) as tape:
        sparse(x)
        encoder, first, second = snn.layers
        one = first(encoder(x))
        both = [one, second(one)]
        relative = 1.5 / (6 * 12) * sum(tf.reduce_sum(lead * hoyer_gradient(lead.numpy())) for lead in both)
        (loss,) = sparse.losses
    found, expected = (tape.gradient(value, kernel.value) for value in (loss, relative))
    np.testing.assert_allclose(found, expected, rtol=FLOAT32, atol=FLOAT64)
    assert np.abs(expected).max() > 1e-3


@pytest.mark.parametrize("make", [relu_network, lambda: tk.convert(relu_network(), X)])
def test_the_network_keeps_layers_outputs_and_names_and_round_trips(tmp_path, make):
    model = make()
    sparse = tk.ttfs.sparsify(model, 0.2, 0.5)
    assert sparse.layers == model.layers and sparse.output_names == model.output_names
    sparse.save(tmp_path / "model.keras")
    sparse.save_weights(tmp_path / "sparse.weights.h5")
    for copy in (
        keras.saving.load_model(tmp_path / "model.keras"),
        unpenalized(sparse),
        type(sparse).from_config(sparse.get_config()),
    ):
        copy.load_weights(tmp_path / "sparse.weights.h5")
        np.testing.assert_array_equal(copy(X), model(X))
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded(X)
    sparse(X)
    np.testing.assert_array_equal(loaded.losses, sparse.losses)
    assert sparse.losses and not unpenalized(sparse).losses
    again = tk.ttfs.sparsify(sparse, 0.2, strength=0.0)
    again(X)
    assert again.losses == [0.0]


def test_tools_see_the_network_itself():
    relu = relu_network()
    snn = tk.ttfs.sparsify(tk.convert(tk.ttfs.sparsify(relu), X))
    assert tk.verify(snn, relu, X, tolerance=FLOAT64).passed
    times, simulated = tk.spike_times(snn, X[:2]), tk.simulate(snn, X[:2])
    assert times.keys() == simulated.spike_times.keys() and tk.summary(snn)


def test_inputs_and_outputs_by_name_stay():
    one, two = (keras.Input((3,), name=name) for name in ("one", "two"))
    h = layers.Dense(8, "relu")(layers.Concatenate()([one, two]))
    model = keras.Model(
        {"one": one, "two": two}, {"a": layers.Dense(2, name="a")(h), "b": layers.Dense(1, name="b")(h)}
    )
    sparse, x = tk.ttfs.sparsify(model, 0.0), RANDOM.uniform(size=(4, 3))
    sparse.compile("sgd", {"a": "mse", "b": "mse"})
    assert sparse({"one": x, "two": x}).keys() == {"a", "b"}
    logs = sparse.fit({"one": x, "two": x}, {"a": np.ones((4, 2)), "b": np.ones((4, 1))}, verbose=0).history
    assert logs["spikes_per_neuron"][0] > 0


def test_training_settles_at_the_target_and_keeps_the_accuracy():
    data = load("DIGITS", dtype="float32")
    keras.utils.set_random_seed(0)
    relu = keras.Sequential(
        [
            keras.Input(data.image_shape),
            layers.Flatten(),
            layers.Dense(64, "relu"),
            layers.Dense(32, "relu"),
            layers.Dense(10),
        ]
    )
    compiled(relu).fit(data.x_train, data.y_train, 32, epochs=10, verbose=0)
    snn = tk.convert(relu, data.x_train)
    before = tk.metric_card(snn, data.x_test, data.y_test)
    assert before["spikes_per_neuron"] > 0.35
    sparse = compiled(tk.ttfs.sparsify(snn, spikes_per_neuron=0.3), keras.optimizers.Adam(1e-3))
    sparse.fit(data.x_train, data.y_train, 32, epochs=10, verbose=0)
    after = tk.metric_card(snn, data.x_test, data.y_test)
    assert abs(after["spikes_per_neuron"] - 0.3) <= 0.02
    assert after["accuracy"] >= before["accuracy"] - 0.02  # 7 images
    assert tk.verify(snn, relu, data.x_test[:8]).premature_spikes == 0


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        ((-0.1, np.nan), ["spikes_per_neuron from 0 to 1. Received: spikes_per_neuron=-0.1", "strength=nan"]),
        ((1.5, 1.0), ["spikes_per_neuron=1.5"]),
    ],
)
def test_all_bad_arguments_of_sparsify_are_named_at_once(arguments, messages):
    with pytest.raises(ValueError) as error:
        tk.ttfs.sparsify(relu_network(), *arguments)
    assert all(message in str(error.value) for message in messages)


@pytest.mark.parametrize(
    ("regularizer", "arguments", "messages"),
    [
        (tk.ttfs.LeadTimeL1, (-1, 0), ["strength=-1", "window=0"]),
        (tk.ttfs.SpikesPerNeuron, (2, np.inf), ["target from 0 to 1. Received: target=2", "strength=inf"]),
    ],
)
def test_all_bad_arguments_of_regularizers_are_named_at_once(regularizer, arguments, messages):
    with pytest.raises(ValueError) as error:
        regularizer(*arguments)
    assert all(message in str(error.value) for message in messages)


@pytest.mark.parametrize(
    "last",
    [layers.Dense(2), layers.LeakyReLU(), layers.ReLU(negative_slope=0.1), bats.LatencyEncoder(), tk.TTFSEncoder()],
    ids=lambda layer: layer.name,
)
def test_networks_without_such_neurons_are_refused(last):
    model = keras.Sequential([keras.Input((4,)), last])
    with pytest.raises(
        ValueError, match=f"expected a model with TTFS neurons or ReLU. Received: .*{type(last).__name__}"
    ):
        tk.ttfs.sparsify(model)
