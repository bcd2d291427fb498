import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.bats.harness import gradient_of, spike_trains
from tests.tolerances import FLOAT32, FLOAT64
from ttfs_keras.bats.delays import AxonalDelay
from ttfs_keras.bats.rates import FiringRate
from ttfs_keras.network.activity import DIVIDED

BOUNDS = {"both": (1.0, 1.5), "minimum": (2.0, None), "maximum": (0.0, 1.0)}


def factor(batch):
    return batch if DIVIDED else 1


def penalty(trains, minimum, maximum, strength):
    mean = np.isfinite(trains).sum(-1).mean(0)
    above = 0 if maximum is None else np.maximum(mean - maximum, 0)
    return strength * np.mean(np.maximum(minimum - mean, 0) ** 2 + above**2)


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("shape", [(6, 5, 3), (6, 2, 3, 4, 2)])
def test_value_is_the_penalty_times_what_keras_divides_by(bounds, shape):
    trains = spike_trains(shape)
    expected = factor(6) * penalty(trains, *BOUNDS[bounds], 0.3)
    assert expected > 0
    np.testing.assert_allclose(FiringRate(*BOUNDS[bounds], 0.3)(tf.constant(trains)), expected, rtol=FLOAT64)


def test_gradient_is_that_of_the_count():
    trains = spike_trains((6, 5, 3), silent=0.4, seed=2)
    mean = np.isfinite(trains).sum(-1).mean(0)
    slope = factor(6) * 0.3 * 2 * (np.maximum(mean - 1.5, 0) - np.maximum(1.2 - mean, 0)) / (5 * 6)
    assert (slope > 0).any() and (slope < 0).any()
    gradient = gradient_of(FiringRate(1.2, 1.5, 0.3), trains)
    np.testing.assert_allclose(gradient, np.where(np.isfinite(trains), -slope[:, None], 0), rtol=0, atol=FLOAT64)


def test_silence_and_empty_batches_are_finite():
    regularizer = FiringRate(1.0, 2.0)
    trains = np.full((3, 4, 2), np.inf)
    assert regularizer(tf.constant(trains)) == factor(3) and not gradient_of(regularizer, trains).any()
    assert regularizer(tf.constant(trains[:0])) == 0


def test_as_an_activity_regularizer_its_strength_does_not_depend_on_the_batch(tmp_path):
    trains = spike_trains((6, 5, 3))
    inputs = keras.Input((5, 3), dtype="float64")
    layer = AxonalDelay(activity_regularizer=FiringRate(1.0, 1.5, 0.3), dtype="float64")
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    for batch in (trains, np.concatenate([trains, trains])):
        model(batch)
        np.testing.assert_allclose(model.losses, [penalty(trains, 1.0, 1.5, 0.3)], rtol=FLOAT32)


def test_configuration_round_trip():
    regularizer = FiringRate(0.5, None, 2.0)
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(regularizer)))
    assert keras.saving.deserialize_keras_object(saved).get_config() == regularizer.get_config()


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        ((2, 1), ["maximum >= minimum, finite, or None. Received: maximum=1"]),
        ((-1, np.inf, -2), ["minimum=-1", "maximum=inf", "strength >= 0, finite. Received: strength=-2"]),
        ((np.nan, None, "1"), ["minimum=nan", "strength=1"]),
    ],
)
def test_all_bad_arguments_are_named_at_once(arguments, messages):
    with pytest.raises(ValueError) as error:
        FiringRate(*arguments)
    assert all(message in str(error.value) for message in messages)
