import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.bats import oracle, problems
from tests.bats.tolerances import DIFFERENCE_STEP
from tests.tolerances import FLOAT64, GRADIENT
from ttfs_keras import bats, ops
from ttfs_keras.bats.recovery import PeakPotential

PROBLEM = problems.CASES["convolution"]


def loss_of(strength, problem):
    """The loss from the oracle's neurons."""
    peaks, counts = oracle.peaks(problem)[0], oracle.spikes(problem)[1]
    silent = (counts == 0) & np.isfinite(peaks)
    return strength * np.maximum(0, 1 - peaks[silent] / problem.threshold).sum() / len(peaks)


def test_loss_and_gradient_are_the_oracles():
    recovery, tensors = PeakPotential(0.7), PROBLEM.tensors()
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        _, counts, _ = ops.spikes(**tensors, max_spikes=PROBLEM.max_spikes)
        peaks, _ = ops.peaks(*(tensors[name] for name in ("times", "kernel", "tau_s", "simulation_time")))
        loss = recovery(peaks / tensors["threshold"], counts)
    assert loss_of(0.7, PROBLEM) > 0
    np.testing.assert_allclose(loss, loss_of(0.7, PROBLEM), rtol=FLOAT64)
    learned = {name: tensors[name] for name in ("kernel", "threshold", "tau_s")}
    for name, gradient in tape.gradient(loss, learned).items():
        expected = oracle.differences(lambda p: loss_of(0.7, p), PROBLEM, name, DIFFERENCE_STEP)
        np.testing.assert_allclose(gradient, expected, rtol=GRADIENT, atol=GRADIENT * abs(expected).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("wrap", [lambda f: f, tf.function], ids=["eager", "graph"])
def test_only_silent_neurons_with_input_count(dtype, wrap):
    peaks = tf.constant([[0.25, 0.5, -np.inf, 3.0], [-1.0, 2.0, 0.75, 0.5]], dtype)
    counts = tf.constant([[0, 1, 0, 0], [0, 4, 0, 0]])

    @wrap
    def gradient(peaks):
        with tf.GradientTape() as tape:
            tape.watch(peaks)
            loss = PeakPotential(2.0)(peaks, counts)
        return loss, tape.gradient(loss, peaks)

    loss, found = gradient(peaks)
    assert loss.dtype == dtype and loss == 0.75 + 2.0 + 0.25 + 0.5
    np.testing.assert_array_equal(found, [[-1, 0, 0, 0], [-1, 0, -1, -1]])


def test_batches_without_input_or_samples_are_finite():
    for samples in (0, 3):
        peaks = tf.fill((samples, 4), -np.inf)
        with tf.GradientTape() as tape:
            tape.watch(peaks)
            loss = PeakPotential(2.0)(peaks, tf.zeros((samples, 4), tf.int32))
        assert loss == 0 and not np.any(tape.gradient(loss, peaks))


@pytest.mark.parametrize("recovery", [None, PeakPotential(1.0)])
def test_a_silent_network_comes_back(recovery):
    """Nothing else can move it: no output spikes, so the loss on them has no gradient."""
    inputs = keras.Input((6, 1))
    layer = bats.BATSDense(
        3, threshold=0.2, max_spikes=1, kernel_initializer=keras.initializers.Constant(0.1), recovery=recovery
    )
    model = keras.Model(inputs, layer(inputs))
    loss = bats.losses.TTFSSoftmaxCrossEntropy(0.005, silent_time=0.2)
    model.compile(
        keras.optimizers.Adam(0.1), loss, metrics=[bats.metrics.SilentLabels(), bats.metrics.FirstSpikeAccuracy()]
    )
    trains = np.where(np.eye(3).repeat(2, axis=1) > 0, 0.0, 0.08)[..., None]
    history = model.fit(trains, np.arange(3), epochs=40, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["silent_labels"][0] == 1
    assert history["silent_labels"][-1] == (1 if recovery is None else 0)
    assert history["first_spike_accuracy"][-1] == (0 if recovery is None else 1)


def test_configuration_round_trip():
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(PeakPotential(0.25))))
    assert keras.saving.deserialize_keras_object(saved).get_config() == {"strength": 0.25}


@pytest.mark.parametrize("strength", [0, -1.0, float("nan"), float("inf"), "1", None])
def test_a_bad_strength_is_refused(strength):
    with pytest.raises(ValueError, match=r"expected strength > 0, finite\. Received: strength="):
        PeakPotential(strength)
