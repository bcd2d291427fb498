import json
import math
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.bats import oracle, problems
from tests.bats.harness import run_train_layer_test, spike_trains
from tests.bats.test_oracle import GOLDEN
from tests.bats.tolerances import DIFFERENCE_STEP
from tests.tolerances import FLOAT32, FLOAT64, GRADIENT
from ttfs_keras.bats.dense import BATSDense
from ttfs_keras.bats.losses import SpikeCount
from ttfs_keras.bats.rates import FiringRate
from ttfs_keras.bats.recovery import PeakPotential

PROBLEM = problems.CASES["dense"]
CONSTANTS = ("threshold", "delta_threshold", "tau_s")
ALL_TRAIN = {f"trainable_{name}": True for name in CONSTANTS}
VARIANTS = {
    "default": {},
    "single spike": {"max_spikes": 1, "delta_threshold": 0.1},
    "recovery": {"recovery": PeakPotential(0.5), "threshold": 0.5, "min_slope": 0.1},
    "trained constants": {"trainable_tau_s": True, "trainable_threshold": True, "simulation_time": 1.0},
    "endless": {"simulation_time": math.inf, "recovery": PeakPotential(0.5)},
    "regularized": {
        "activity_regularizer": FiringRate(1.0, 2.0),
        "kernel_constraint": keras.constraints.NonNeg(),
        "kernel_initializer": keras.initializers.Constant(1.0),
    },
}


def layer_of(problem, **changes):
    """Return the layer with the kernel and constants of a problem."""
    names = (*CONSTANTS, "simulation_time", "max_spikes")
    arguments = {**{name: getattr(problem, name) for name in names}, "dtype": "float64", **changes}
    layer = BATSDense(problem.kernel.shape[-1], **arguments)
    layer.build((None, problem.kernel.shape[2], problem.times.shape[-1]))
    layer.kernel.assign(problem.kernel[0, 0])
    return layer


def golden(**arguments):
    """Return a neuron whose first spike is known, and its input."""
    constants = {"tau_s": 1.0, "threshold": 1.0, "max_spikes": 1, "simulation_time": 10.0}
    layer = BATSDense(1, dtype="float64", **{**constants, **arguments})
    layer.build((None, 1, 1))
    layer.kernel.assign([[4.0]])
    return layer, tf.zeros((1, 1, 1), tf.float64)


@pytest.mark.parametrize("variant", VARIANTS)
def test_is_a_well_behaved_layer(variant, tmp_path):
    # The constants that train get values in this range, too.
    weights = (0.2, 1.0) if variant == "trained constants" else (0.5, 2.0)
    run_train_layer_test(
        lambda: BATSDense(4, dtype="float64", **VARIANTS[variant]), spike_trains((3, 20, 2)), tmp_path, False, weights
    )


@pytest.mark.parametrize("trained", [{}, ALL_TRAIN])
def test_trains_are_the_oracles(trained):
    expected, counts, overflow = oracle.spikes(PROBLEM)
    layer = layer_of(PROBLEM, **trained)
    np.testing.assert_allclose(layer(PROBLEM.times[:, 0, 0]), expected[:, 0, 0], rtol=0, atol=FLOAT64)
    assert len(layer.trainable_weights) == 1 + len(trained)
    samples = len(PROBLEM.times)
    assert {name: float(value) for name, value in layer.monitor.result().items()} == pytest.approx(
        {
            f"{layer.name}_spikes": counts.sum() / samples,
            f"{layer.name}_silent": np.mean(counts.sum((0, 1, 2)) == 0),
            f"{layer.name}_overflow": overflow / samples,
        }
    )


def test_trained_constants_get_their_gradients():
    layer = layer_of(PROBLEM, **ALL_TRAIN)
    weights, counts = np.random.default_rng(0).normal(size=(3, 5, 6)), oracle.spikes(PROBLEM)[1]

    def loss(moved):
        times, moved_counts, _ = oracle.spikes(moved)
        assert (moved_counts == counts).all()
        return (weights * np.where(np.isfinite(times), times, 0)[:, 0, 0]).sum()

    with tf.GradientTape() as tape:
        times = layer(PROBLEM.times[:, 0, 0])
    variables = [layer.learned_weights[name].value for name in CONSTANTS]
    found = tape.gradient(times, variables, output_gradients=tf.constant(weights))
    expected = [oracle.differences(loss, PROBLEM, name, DIFFERENCE_STEP) for name in CONSTANTS]
    np.testing.assert_allclose(found, np.squeeze(expected), rtol=GRADIENT)


def test_trained_constants_are_saved_and_stay_positive(tmp_path):
    inputs = keras.Input((6, 3), dtype="float64")
    layer = layer_of(PROBLEM, trainable_threshold=True, trainable_tau_s=True)
    model = keras.Model(inputs, layer(inputs))
    layer.learned_weights["threshold"].assign(1.25 * PROBLEM.threshold)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[1].threshold == PROBLEM.threshold  # where it started
    higher = replace(PROBLEM, threshold=1.25 * PROBLEM.threshold)
    expected = oracle.spikes(higher)[0][:, 0, 0]
    np.testing.assert_allclose(loaded(PROBLEM.times[:, 0, 0]), expected, rtol=0, atol=FLOAT64)
    threshold, tau_s = (layer.learned_weights[name] for name in ("threshold", "tau_s"))
    keras.optimizers.SGD(1.0).apply([tf.constant(100.0, tf.float64), tf.constant(-1.0, tf.float64)], [threshold, tau_s])
    np.testing.assert_allclose([threshold, tau_s], [PROBLEM.threshold / 100, PROBLEM.tau_s + 1], rtol=FLOAT64)


def test_min_slope_bounds_the_gradient():
    first = GOLDEN[0]
    slope = 8 * (math.exp(-first) - math.exp(-first / 2) / 2)  # u = 8 (e^(-t/2) - e^-t)
    gradients = []
    for min_slope in (0.0, slope / 2, 4 * slope):
        layer, times = golden(min_slope=min_slope)
        with tf.GradientTape() as tape:
            spike = layer(times)
        assert spike.numpy().item() == pytest.approx(first, rel=FLOAT64)
        gradients.append(tape.gradient(spike, layer.kernel.value).numpy().item())
    exact = -2 * (math.exp(-first / 2) - math.exp(-first)) / slope
    assert gradients == pytest.approx([exact, exact, exact / 4], rel=GRADIENT)


def test_recovery_adds_the_gaps_of_silent_neurons():
    layer = layer_of(PROBLEM, recovery=PeakPotential(0.5))
    layer(PROBLEM.times[:, 0, 0])
    silent = oracle.spikes(PROBLEM)[1] == 0
    gaps = np.maximum(0, 1 - oracle.peaks(PROBLEM)[0] / PROBLEM.threshold)[silent]
    assert 0 < len(gaps) < silent.size
    np.testing.assert_allclose(layer.losses, [0.5 * gaps.sum() / 3], rtol=FLOAT32)


def test_recovery_with_a_trained_threshold_is_finite_without_input():
    layer = layer_of(PROBLEM, recovery=PeakPotential(1.0), **ALL_TRAIN)
    with tf.GradientTape() as tape:
        layer(np.full((2, 6, 3), np.inf))
        (loss,) = layer.losses
    assert loss == 0
    for gradient in tape.gradient(loss, [w.value for w in layer.trainable_weights], unconnected_gradients="zero"):
        assert not np.any(gradient)


def test_a_firing_rate_regularizes():
    layer = layer_of(PROBLEM, activity_regularizer=FiringRate(1.0, 1.5, 0.3))
    layer(PROBLEM.times[:, 0, 0])
    mean = oracle.spikes(PROBLEM)[1].mean((0, 1, 2))
    penalty = 0.3 * np.mean(np.maximum(1 - mean, 0) ** 2 + np.maximum(mean - 1.5, 0) ** 2)
    assert penalty > 0
    np.testing.assert_allclose(layer.losses, [penalty], rtol=FLOAT32)


def test_weights_are_regularized_and_constrained():
    arguments = {"kernel_regularizer": keras.regularizers.L2(0.1), "kernel_constraint": keras.constraints.NonNeg()}
    inputs = keras.Input((20, 2))
    layer = BATSDense(4, kernel_initializer=keras.initializers.Constant(1.0), **arguments)
    model = keras.Model(inputs, layer(inputs))
    np.testing.assert_allclose(model.losses, [0.1 * 80], rtol=FLOAT32)
    model.compile(keras.optimizers.SGD(100.0), SpikeCount(0, 0))
    model.fit(spike_trains((3, 20, 2)), np.zeros(3), verbose=0)
    assert layer.kernel.numpy().min() == 0


def test_a_recovery_comes_back_from_a_file(tmp_path):
    inputs = keras.Input((6, 3), dtype="float64")
    model = keras.Model(inputs, layer_of(PROBLEM, recovery=PeakPotential(0.25))(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    recovery = loaded.layers[1].recovery
    assert type(recovery) is PeakPotential and recovery.strength == 0.25
    for network in (model, loaded):
        network(PROBLEM.times[:, 0, 0])
    np.testing.assert_array_equal(loaded.losses, model.losses)


def test_all_bad_arguments_are_named_at_once():
    wrong = {
        "units": 0, "tau_s": 0.0, "threshold": math.nan, "delta_threshold": "1", "simulation_time": -1.0,
        "max_spikes": 0, "min_slope": -1.0, "trainable_tau_s": "yes", "recovery": 3.0,
    }  # fmt: skip
    with pytest.raises(ValueError) as error:
        BATSDense(**wrong)
    lines = [line.strip() for line in str(error.value).splitlines()[1:]]
    assert {line.split(":")[0]: line.split("Received: ")[1] for line in lines} == {
        name: repr(value) for name, value in wrong.items()
    }


@pytest.mark.parametrize(
    "wrong", [{"units": 1.5}, {"units": True}, {"max_spikes": 2.0}, {"threshold": None}, {"trainable_threshold": 1}]
)
def test_an_argument_of_the_wrong_type_is_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected "):
        BATSDense(**{"units": 2, **wrong})


def test_integers_may_be_numpys():
    layer = BATSDense(np.int64(2), max_spikes=np.int32(3))
    assert json.loads(json.dumps(layer.get_config())) == BATSDense(2, max_spikes=3, name=layer.name).get_config()


@pytest.mark.parametrize("shape", [(None, 3), (None, 3, 2, 2, 1), (None, None, 2)])
def test_shapes_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected trains \(batch, neurons, spikes\).*Received shape.*FlattenSpikes"):
        BATSDense(2).build(shape)


@pytest.mark.parametrize("order", [("tau_s", "threshold"), ("threshold", "tau_s")])
def test_configurations_of_version_0_1_load_and_their_weights_stay_in_order(order, tmp_path):
    """It named the constants that train in a list; files hold the weights in that order."""
    config = {name: value for name, value in BATSDense(2, name="old").get_config().items() if "trainable_" not in name}
    layer = BATSDense.from_config({**config, "learned": list(order)})
    assert (layer.trainable_tau_s, layer.trainable_threshold, layer.trainable_delta_threshold) == (True, True, False)
    inputs = keras.Input((3, 1))
    model = keras.Model(inputs, layer(inputs))
    assert [weight.path for weight in layer.trainable_weights] == ["old/kernel", *(f"old/{name}" for name in order)]
    layer.learned_weights["threshold"].assign(0.75)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").layers[1]
    assert loaded.learned_weights["threshold"] == 0.75 and loaded.get_config() == layer.get_config()
