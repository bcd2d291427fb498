import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layer_harness import run_layer_test
from ttfs_keras import stbp

ENCODERS = {
    "direct": lambda: stbp.DirectEncoder(dtype="float64"),
    "bernoulli": lambda: stbp.BernoulliEncoder(3, seed=1, dtype="float64"),
    "latency": lambda: stbp.FirstSpikeEncoder(3, dtype="float64"),
}


def pixels(shape=(4, 5, 5, 1), seed=0):
    return np.random.default_rng(seed).uniform(0, 1, shape)


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_are_keras_layers(name, tmp_path):
    run_layer_test(ENCODERS[name], pixels(), tmp_path)


def test_direct_encoding_adds_a_step():
    x = pixels()
    np.testing.assert_array_equal(ENCODERS["direct"]()(x), x[:, None])


def test_bernoulli_spikes_have_the_values_as_rates():
    values = np.array([[-0.5, 0.0, 0.2, 0.7, 1.0, 1.5]])
    spikes = stbp.BernoulliEncoder(20000, seed=1, dtype="float64")(values).numpy()
    assert set(np.unique(spikes)) == {0, 1}
    np.testing.assert_allclose(spikes.mean(1), np.clip(values, 0, 1), rtol=0, atol=0.02)
    np.testing.assert_array_equal(spikes.mean(1)[0, [0, 1, 4, 5]], [0, 0, 1, 1])


def test_bernoulli_draws_anew_at_every_call_and_the_same_from_the_same_state(tmp_path):
    model = keras.Sequential([keras.Input((9,)), stbp.BernoulliEncoder(5, seed=3, name="encoder")])
    x = pixels((4, 9)).astype("float32")
    first, second = model(x).numpy(), model(x).numpy()
    assert (first != second).any()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    twin = stbp.BernoulliEncoder(5, seed=3, name="encoder")
    np.testing.assert_array_equal(twin(x), first)
    assert (stbp.BernoulliEncoder(5, seed=3, name="other")(x).numpy() != first).any()
    assert (stbp.BernoulliEncoder(5, seed=4, name="encoder")(x).numpy() != first).any()


def test_latency_spikes_come_once_and_the_earlier_the_larger_the_value():
    values = np.array([[0.0, 0.01, 0.25, 0.26, 0.5, 0.99, 1.0, 2.0, -1.0]])
    spikes = stbp.FirstSpikeEncoder(4, dtype="float64")(values).numpy()[0]
    times = [np.flatnonzero(column).tolist() for column in spikes.T]
    assert times == [[], [3], [3], [2], [2], [0], [0], [0], []]


@pytest.mark.parametrize("encoder", [stbp.BernoulliEncoder, stbp.FirstSpikeEncoder])
def test_less_than_one_step_is_refused(encoder):
    with pytest.raises(ValueError, match="time steps >= 1. Received: time_steps=0".replace(".", r"\.")):
        encoder(0)


def test_shapes_are_static():
    for make in ENCODERS.values():
        assert tf.function(make()).get_concrete_function(tf.TensorSpec((None, 5, 5, 1), "float64")).outputs[
            0
        ].shape.as_list()[2:] == [5, 5, 1]
