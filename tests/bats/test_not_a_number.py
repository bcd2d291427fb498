"""NaN that goes in comes out, forward and backward, and never counts as a right answer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.bats.harness import spike_trains
from tests.bats.test_losses import LOSSES
from tests.bats.test_metrics import METRICS
from ttfs_keras import bats

WRAPS = {"eager": lambda f: f, "graph": tf.function}
KERNELS = {"dense": (20, 4), "conv2d": (2, 2, 3, 4)}
SHAPES = {"dense": (3, 20, 2), "conv2d": (3, 3, 4, 3, 2)}
CONSTANTS = {"tau_s": 0.13, "threshold": 0.2, "max_spikes": 3}


def trains_of(name, times, kernel):
    return getattr(bats, name)(times, kernel, **CONSTANTS)[0]


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_makes_its_neuron_nan(name, wrap, value):
    times, kernel = spike_trains(SHAPES[name]), np.random.default_rng(0).uniform(-0.5, 1.0, KERNELS[name])
    sound = trains_of(name, times, kernel).numpy()
    kernel[..., 0, 1] = value
    found = WRAPS[wrap](lambda kernel: trains_of(name, times, kernel))(tf.constant(kernel)).numpy()
    assert np.isnan(found[..., 1, :]).all()
    np.testing.assert_array_equal(found[..., [0, 2, 3], :], sound[..., [0, 2, 3], :])


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("wrap", WRAPS)
def test_a_time_that_is_nan_makes_its_sample_nan(name, wrap):
    times, kernel = spike_trains(SHAPES[name]), np.random.default_rng(0).uniform(-0.5, 1.0, KERNELS[name])
    sound = trains_of(name, times, kernel).numpy()
    times[1, ..., -1, 1] = np.nan
    found = WRAPS[wrap](lambda times: trains_of(name, times, kernel))(tf.constant(times)).numpy()
    assert np.isnan(found[1]).all()
    np.testing.assert_array_equal(found[[0, 2]], sound[[0, 2]])


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("place", ["all", "one neuron", "behind a spike", "of a silent label"])
def test_losses_of_nan_trains_are_nan_and_so_are_their_gradients(name, place):
    trains = spike_trains((3, 4, 2), silent=0)
    index = {"all": np.s_[1], "one neuron": np.s_[1, 2], "behind a spike": np.s_[1, 2, 1], "of a silent label": 1}[
        place
    ]
    if place == "of a silent label":
        trains[1, 0], index = np.inf, np.s_[1, 3]
    trains[index] = np.nan
    trains = tf.constant(trains)
    loss = LOSSES[name](dtype="float64", reduction=None)
    with tf.GradientTape() as tape:
        tape.watch(trains)
        losses = loss(np.zeros(3), trains)
    np.testing.assert_array_equal(np.isnan(losses), [False, True, False])
    gradient = np.isnan(tape.gradient(losses, trains))
    assert gradient[np.isnan(trains)].all() and not gradient[[0, 2]].any()


@pytest.mark.parametrize("name", METRICS)
def test_nan_is_never_a_right_answer(name):
    trains = np.full((4, 3, 2), np.inf)
    trains[:, 1, 0] = 0.1
    trains[1], trains[2, 0, 0], trains[3, 1, 1] = np.nan, np.nan, np.nan
    for label in range(3):
        metric = METRICS[name]()
        metric.update_state(np.full(4, label), trains)
        right = {"silent": [label != 1, True, label != 1, label != 1]}.get(name, [label == 1, False, False, False])
        assert metric.result() == np.mean(right)


def network(**arguments):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 1))
    x = bats.BATSConv2D(4, 3, threshold=0.1, max_spikes=2, name="conv", **arguments)(bats.LatencyEncoder()(inputs))
    x = bats.FlattenSpikes()(bats.SpikePooling2D(2)(x))
    x = bats.BATSDense(8, threshold=0.05, max_spikes=2, name="hidden", **arguments)(x)
    x = bats.BATSDense(3, threshold=0.05, max_spikes=2, name="output", **arguments)(x)
    return keras.Model(inputs, x)


IMAGES = np.random.default_rng(0).uniform(size=(8, 6, 6, 1)).astype("float32")
LABELS = np.arange(8) % 3


@pytest.mark.parametrize("name", ["conv", "hidden", "output"])
@pytest.mark.parametrize("recovery", [None, bats.PeakPotential(1.0)])
def test_training_stops_when_the_weights_of_a_layer_are_nan(name, recovery):
    model = network(recovery=recovery)
    model.compile(keras.optimizers.SGD(0.01), bats.losses.SpikeCount(3, 1), metrics=[bats.metrics.CountAccuracy()])
    assert np.isfinite(model.evaluate(IMAGES, LABELS, verbose=0)[0])
    kernel = model.get_layer(name).kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    stop = keras.callbacks.TerminateOnNaN()
    history = model.fit(IMAGES, LABELS, batch_size=4, epochs=3, callbacks=[stop], verbose=0).history
    assert len(history["loss"]) == 1 and np.isnan(history["loss"]).all() and history["count_accuracy"] == [0]


def test_one_nan_pixel_makes_its_image_nan_and_the_gradients_of_all_layers():
    model, images = network(), IMAGES.copy()
    images[2, 3, 3] = np.nan
    trains = model(images).numpy()
    np.testing.assert_array_equal(np.isnan(trains).all(axis=(1, 2)), np.arange(8) == 2)
    np.testing.assert_array_equal(trains[3], model(IMAGES).numpy()[3])
    with tf.GradientTape() as tape:
        loss = bats.losses.SpikeCount(3, 1)(LABELS, model(images))
    assert np.isnan(loss)
    for gradient in tape.gradient(loss, [weight.value for weight in model.trainable_weights]):
        assert np.isnan(gradient).any()


def test_penalties_of_nan_are_nan():
    trains = tf.constant([[[0.1, np.nan], [np.inf, np.inf]]])
    assert np.isnan(bats.FiringRate(1.0, 2.0)(trains))
    assert np.isnan(bats.PeakPotential(1.0)(tf.constant([[0.5, np.nan]]), tf.zeros((1, 2), "int32")))


def test_layers_without_weights_pass_nan_on():
    trains = np.array([[[0.1, np.nan], [0.2, np.inf]]])
    delay = bats.AxonalDelay(dtype="float64")
    for layer in (delay, bats.FlattenSpikes(dtype="float64"), bats.BiasNeuron(dtype="float64")):
        np.testing.assert_array_equal(np.isnan(layer(trains))[:, :2], np.isnan(trains))
    delay.delay.assign([np.nan, 0])
    np.testing.assert_array_equal(np.isnan(delay(trains)), [[[True, True], [False, False]]])
    merged = bats.MergeSpikes(dtype="float64")([trains, np.zeros((1, 2, 1))])
    np.testing.assert_array_equal(np.isnan(merged), [[[True] * 3, [False] * 3]])
    joined = bats.ConcatenateSpikes(dtype="float64")([trains, np.zeros((1, 2, 1))])
    np.testing.assert_array_equal(np.isnan(joined)[:, :2], np.isnan(trains))
