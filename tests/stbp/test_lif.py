import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layer_harness import run_layer_test
from tests.stbp import oracle
from tests.tolerances import FLOAT64
from ttfs_keras import stbp
from ttfs_keras.stbp.surrogates import Rectangle, Shifted


def currents(shape=(4, 3, 5), seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(0.3, 0.5, shape).astype(dtype)


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ({}, (4, 3, 5)),
        ({"reset": "subtract", "detach_reset": True, "surrogate": Shifted(Rectangle(), -0.4)}, (2, 2, 3, 3, 2)),
        ({"surrogate": "arctan", "width": 0.6, "trainable_threshold": True, "trainable_decay": True}, (4, 3, 5)),
    ],
)
def test_lif_is_a_keras_layer(arguments, shape, tmp_path):
    run_layer_test(lambda: stbp.LIF(**arguments, dtype="float64"), currents(shape), tmp_path)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_layer_gives_the_oracles_spikes_and_potentials(reset):
    x = currents((50, 4, 6))
    layer = stbp.LIF(0.5, 0.6, reset=reset, dtype="float64")
    potentials, spikes = oracle.run(x.transpose(1, 0, 2), 0.5, 0.6, oracle.step, reset)
    np.testing.assert_array_equal(layer(x), spikes.transpose(1, 0, 2))
    np.testing.assert_allclose(layer.potentials(tf.constant(x)), potentials.transpose(1, 0, 2), rtol=0, atol=FLOAT64)


def test_a_sequence_starts_at_rest_whatever_came_before():
    layer, x = stbp.LIF(dtype="float64"), currents()
    first = layer(x)
    layer(10 * currents(seed=1))
    np.testing.assert_array_equal(layer(x), first)


def test_trainable_threshold_and_decay_learn_and_stay_in_their_range():
    layer = stbp.LIF(surrogate="sigmoid", width=0.3, trainable_threshold=True, trainable_decay=True, dtype="float64")
    x = currents((20, 4, 5))
    model = keras.Sequential([keras.Input((4, 5), dtype="float64"), layer])
    model.compile(keras.optimizers.SGD(5.0), "mse")
    assert [v.name for v in layer.trainable_variables] == ["threshold", "decay"]
    np.testing.assert_array_equal([float(v) for v in layer.trainable_variables], [0.4, 0.25])
    history = model.fit(x, np.ones_like(x), epochs=40, batch_size=20, verbose=0).history["loss"]
    # Always firing is what the loss wants: the threshold falls as far as it may, and not below.
    assert history[-1] < history[0]
    assert 0 < float(layer.threshold_weight) < 0.01 and 0 <= float(layer.decay_weight) <= 1


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_trains(policy):
    x = currents(dtype="float32")
    layers = [stbp.ThresholdDependentBatchNormalization(0.4, dtype=policy), stbp.LIF(dtype=policy)]
    model = keras.Sequential([keras.Input((3, 5)), *layers, keras.layers.Dense(2, dtype=policy)])
    model.compile("sgd", "mse")
    assert layers[1].output.dtype == policy.removeprefix("mixed_")
    assert np.isfinite(model.fit(x, np.zeros((4, 3, 2)), epochs=2, verbose=0).history["loss"]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 0}, "threshold > 0"),
        ({"threshold": float("nan")}, "threshold > 0"),
        ({"decay": 1.1}, r"decay in \[0, 1\]"),
        ({"reset": "none"}, "reset one of 'zero', 'subtract'"),
        ({"threshold": -1, "decay": -1, "reset": ""}, r"threshold > 0 and decay in \[0, 1\] and reset one of"),
        ({"surrogate": "step"}, "'rectangle', 'triangle'"),
        ({"width": 0}, "width > 0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        stbp.LIF(**arguments)


@pytest.mark.parametrize("shape", [(4, 28, 28, 1), (4, 0, 5), (4, None, 5), (4, 5)])
def test_inputs_without_a_sure_time_axis_are_refused(shape):
    with pytest.raises(ValueError, match="fixed number of time steps >= 1"):
        stbp.LIF()(keras.Input(batch_shape=shape))
