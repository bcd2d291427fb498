import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ttfs_keras as tk
from tests.layer_harness import lead_times, randomize, run_layer_test
from tests.tolerances import FLOAT32, FLOAT64

VARIANTS = {
    "default": {},
    "alpha1": {"parameterization": "alpha1", "kernel_initializer": tk.SmartAlpha1(), "use_bias": False},
    "fixed": {"window": 0.7, "window_rule": tk.FixedWindow()},
    "quantile": {"window_rule": tk.TrackQuantile(0.9, margin=0.1, momentum=0.5)},
    "perturbed": {"perturbation": [tk.WeightQuantization(4), tk.SpikeTimeJitter(0.05, seed=1), tk.TimeQuantization(3)]},
    "quantized": {"perturbation": [tk.WeightQuantization(4, per_channel=True), tk.TimeQuantization(4)]},
}


def twins(units, shape, dtype, **options):
    """Return a TTFS layer and a Keras layer of the same random weights."""
    spiking = tk.TTFSDense(units, dtype=dtype, **options)
    relu = keras.layers.Dense(units, activation="relu", dtype=dtype, use_bias=spiking.use_bias)
    for layer in (spiking, relu):
        layer.build((None, *shape))
    randomize(spiking)
    relu.set_weights(spiking.get_weights()[: len(relu.weights)])
    return spiking, relu


@pytest.mark.parametrize("variant", VARIANTS)
def test_is_a_well_behaved_layer(variant, tmp_path):
    run_layer_test(lambda: tk.TTFSDense(4, dtype="float64", **VARIANTS[variant]), lead_times((6, 5)), tmp_path)


@settings(deadline=None, max_examples=30)
@given(
    units=st.integers(1, 5),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    use_bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_is_relu_inside_the_window_and_clipped_at_it(units, shape, use_bias, seed):
    layer, relu = twins(units, shape, "float64", use_bias=use_bias)
    inputs = lead_times((3, *shape), seed)
    expected = relu(inputs).numpy()
    for window in (100.0, 0.3):
        layer.window.assign(window)
        np.testing.assert_allclose(layer(inputs), np.minimum(expected, window), rtol=0, atol=FLOAT64)


def test_float32_equals_float64():
    inputs = lead_times((32, 784))
    wide, _ = twins(100, (784,), "float64", window=1000.0)
    single, _ = twins(100, (784,), "float32", window=1000.0)
    expected = wide(inputs).numpy()
    np.testing.assert_allclose(single(inputs.astype("float32")), expected, rtol=FLOAT32, atol=FLOAT32 * expected.max())


@pytest.mark.parametrize("activation", ["relu", keras.activations.softmax])
@pytest.mark.parametrize("by_position", [False, True])
def test_an_activation_is_refused(activation, by_position):
    with pytest.raises(ValueError, match="TTFSDense takes no activation"):
        tk.TTFSDense(3, activation) if by_position else tk.TTFSDense(3, activation=activation)


@pytest.mark.parametrize("activation", [None, "linear"])
def test_no_activation_may_be_spelled_out(activation):
    assert "activation" not in tk.TTFSDense(3, activation=activation).get_config()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "Expected window > 0"),
        ({"window": -1.0}, "Expected window > 0"),
        ({"window": float("nan")}, "Expected window > 0"),
        ({"window_rule": "grow"}, "window_rule: expected"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tk.TTFSDense(3, **options)
