from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import ttfs_keras as tk
from tests.bats import oracle, problems
from tests.bats.harness import spike_trains
from tests.bats.tolerances import DIFFERENCE_STEP
from tests.layer_harness import run_layer_test
from tests.tolerances import FLOAT32, FLOAT64, GRADIENT
from ttfs_keras import bats
from ttfs_keras.metrics.operations import synaptic_operations

READ_OUTS = [bats.MaximumPotential, bats.LeakyIntegrator]
PROBLEMS = {name: problems.CASES[name] for name in ("dense", "single spike", "ties")}


def of_oracle(kind, problem):
    """The potentials (batch, units) of the oracle's neurons."""
    if kind is bats.MaximumPotential:
        return oracle.peaks(problem)[0][:, 0, 0]
    found = np.empty((len(problem.times), problem.kernel.shape[-1]))
    for (sample, _, _, unit), times, weights in oracle.neurons(problem):
        found[sample, unit] = oracle.potential(problem.simulation_time, times, weights, [], problem)
    return found


def built(kind, problem, dtype="float64"):
    p = problem
    layer = kind(p.kernel.shape[-1], tau_s=p.tau_s, simulation_time=p.simulation_time, dtype=dtype)
    trains = tf.constant(p.times[:, 0, 0], dtype)
    layer.build(trains.shape)
    layer.kernel.assign(p.kernel[0, 0])
    return layer, trains


@pytest.mark.parametrize("kind", READ_OUTS)
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", FLOAT64), ("float32", FLOAT32)])
def test_potentials_are_the_oracles(kind, problem, dtype, tolerance):
    layer, trains = built(kind, problem, dtype)
    expected = of_oracle(kind, problem)
    np.testing.assert_allclose(layer(trains), expected, rtol=tolerance, atol=tolerance * abs(expected).max())


@pytest.mark.parametrize("kind", READ_OUTS)
@pytest.mark.parametrize("name", ["times", "kernel"])
def test_gradients_are_the_oracles(kind, name):
    """Of softmax cross entropy."""
    problem = PROBLEMS["dense"]
    layer, trains = built(kind, problem)
    labels = np.arange(len(problem.times)) % 3

    def expected_loss(problem):
        logits = of_oracle(kind, problem)
        return np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels])

    with tf.GradientTape() as tape:
        tape.watch(trains)
        logits = layer(trains)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    np.testing.assert_allclose(loss, expected_loss(problem), rtol=FLOAT64)
    gradient = tape.gradient(loss, trains if name == "times" else layer.kernel.value)
    expected = oracle.differences(expected_loss, problem, name, DIFFERENCE_STEP).reshape(gradient.shape)
    assert np.any(expected)
    np.testing.assert_allclose(gradient, expected, rtol=GRADIENT, atol=GRADIENT * abs(expected).max())


def test_the_largest_potential_without_an_end():
    problem = replace(PROBLEMS["dense"], simulation_time=60 * PROBLEMS["dense"].tau_s)
    layer, trains = built(bats.MaximumPotential, replace(problem, simulation_time=np.inf))
    np.testing.assert_allclose(layer(trains), of_oracle(bats.MaximumPotential, problem), rtol=FLOAT64, atol=FLOAT64)
    with pytest.raises(ValueError, match=r"simulation_time > 0, finite\. Received: simulation_time=inf"):
        bats.LeakyIntegrator(2, simulation_time=np.inf)


@pytest.mark.parametrize("kind", READ_OUTS)
def test_no_input_is_no_potential_and_nan_is_nan(kind):
    problem = PROBLEMS["dense"]
    times = problem.times.copy()
    times[0] = np.inf
    times[1] = 1.5 * problem.simulation_time
    times[2, ..., 0, 0] = np.nan
    layer, trains = built(kind, replace(problem, times=times))
    with tf.GradientTape() as tape:
        tape.watch(trains)
        potentials = layer(trains)
        loss = tf.reduce_sum(potentials[:2])
    np.testing.assert_array_equal(potentials[:2], np.zeros_like(potentials[:2]))
    assert np.isnan(potentials[2]).all()
    gradients = tape.gradient(loss, [trains, layer.kernel.value], unconnected_gradients="zero")
    assert not np.any(gradients[0][:2])


@pytest.mark.parametrize("kind", READ_OUTS)
def test_everything_keras_does_with_layers(kind, tmp_path):
    run_layer_test(
        lambda: kind(3, simulation_time=0.3, dtype="float64", kernel_initializer="ones"),
        spike_trains((4, 5, 2)), tmp_path, jit=kind is bats.LeakyIntegrator,
    )  # fmt: skip


def classifier(kind):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = bats.LatencyEncoder(name="encoder")(inputs)
    x = bats.BATSDense(20, threshold=0.05, max_spikes=2, name="hidden")(x)
    return keras.Model(inputs, kind(3, name="output")(x))


@pytest.mark.parametrize("kind", READ_OUTS)
def test_a_classifier_learns_and_is_measured_and_its_weights_are_files(kind, tmp_path):
    model = classifier(kind)
    y = np.arange(60) % 3
    x = np.clip(np.eye(3).repeat(2, axis=1)[y] + np.random.default_rng(0).normal(0, 0.1, (60, 6)), 0, 1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    history = model.fit(x, y, batch_size=20, epochs=30, verbose=0, callbacks=[bats.SynapticScaling()]).history
    assert history["loss"][-1] < history["loss"][0] / 2 and history["accuracy"][-1] == 1
    card = tk.metric_card(model, x, y)
    assert card["accuracy"] == np.mean(np.argmax(model(x), axis=1) == y)
    assert (card["latency"], card["latency_unit"]) == (0.2, "s") and list(card["layers"]) == ["encoder", "hidden"]
    spikes = tk.spikes(model, x)["hidden"]
    inputs = np.isfinite(tk.spikes(model, x)["encoder"]).sum()
    assert synaptic_operations(model, x) == pytest.approx((inputs * 20 + np.isfinite(spikes).sum() * 3) / len(x))
    bats.save_weights(model, tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "output_weights.npy"), np.asarray(model.layers[-1].kernel).T)
    other = classifier(kind)
    bats.load_weights(other, tmp_path)
    np.testing.assert_array_equal(other(x), model(x))


@pytest.mark.parametrize("kind", READ_OUTS)
@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"units": 0}, "units"), ({"tau_s": 0.0}, "tau_s"), ({"simulation_time": float("nan")}, "simulation_time")],
)
def test_bad_arguments_are_named(kind, arguments, name):
    with pytest.raises(ValueError, match=rf"{kind.__name__} cannot work:\n  expected {name}.* Received: {name}="):
        kind(**{"units": 2, **arguments})


@pytest.mark.parametrize("kind", READ_OUTS)
@pytest.mark.parametrize("shape", [(None, 4), (None, 2, 2, 1), (None, None, 1)])
def test_bad_shapes_are_refused(kind, shape):
    with pytest.raises(ValueError, match=r"expects (spike trains|a known number)"):
        kind(2).build(shape)
