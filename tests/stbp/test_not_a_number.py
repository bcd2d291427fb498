"""NaN that reaches a network of time steps leaves it as NaN."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.stbp.networks import digits, small_network
from ttfs_keras import stbp


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_nan_current_makes_all_later_spikes_of_its_neuron_nan(reset):
    currents = np.zeros((1, 3, 2), "float32")
    currents[0, 1, 0] = np.nan
    layer = stbp.LIF(reset=reset)
    with tf.GradientTape() as tape:
        tape.watch(tensor := tf.constant(currents))
        spikes = layer(tensor)
    assert np.isnan(spikes.numpy()).tolist() == [[[False, False], [True, False], [True, False]]]
    assert np.isnan(tape.gradient(spikes, tensor).numpy()[0, 1, 0])


@pytest.mark.parametrize("name", ["rectangle", "triangle", "sigmoid", "arctan", "fast_sigmoid"])
def test_surrogates_pass_nan_on(name):
    surrogate = stbp.surrogates.get(name)
    values = tf.constant([np.nan, 1.0, -1.0])
    assert np.isnan(surrogate.fire(values).numpy()).tolist() == [True, False, False]
    assert surrogate.fire(values).numpy()[1:].tolist() == [1, 0]


@pytest.mark.parametrize("encoder", [stbp.BernoulliEncoder(3, seed=0), stbp.FirstSpikeEncoder(3)])
def test_encoders_pass_nan_on_and_take_any_range(encoder):
    spikes = encoder(np.array([[np.nan, 0.0, 1.0]], "float32")).numpy()
    assert np.isnan(spikes).tolist() == [[[True, False, False]] * 3]
    shifted = type(encoder).from_config(encoder.get_config() | {"input_range": (-3.0, 3.0), "name": encoder.name})
    values = np.random.default_rng(0).uniform(0, 1, (4, 5)).astype("float32")
    again = type(encoder).from_config(encoder.get_config())
    np.testing.assert_array_equal(shifted(6 * values - 3), again(values))
    with pytest.raises(ValueError, match=r"Expected input_range=\(p, q\) with p < q"):
        type(encoder)(3, input_range=(1.0, 1.0))


@pytest.mark.parametrize("training", [False, True])
def test_one_nan_pixel_makes_the_loss_nan(training):
    keras.utils.set_random_seed(0)
    model, (x, y) = small_network(), digits(8)
    model(x, training=True)
    x = np.array(x)
    x[2, 3, 3] = np.nan
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(y, model(x, training=training))
    assert np.isnan(loss.numpy())
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(x, y, epochs=3, verbose=0, callbacks=[keras.callbacks.TerminateOnNaN()])
    assert len(history.epoch) == 1


@pytest.mark.parametrize("argument", ["threshold", "decay"])
def test_constants_of_each_neuron_are_refused_by_name(argument):
    with pytest.raises(ValueError, match=rf"expected {argument} .*a number"):
        stbp.LIF(**{argument: np.array([0.3, 0.4])})


def test_networks_have_their_channels_last_whatever_the_default_of_keras():
    keras.config.set_image_data_format("channels_first")
    try:
        model = small_network()
    finally:
        keras.config.set_image_data_format("channels_last")
    assert model.output_shape == small_network().output_shape
    model(digits(2)[0])
