import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.bats.harness import assert_gradients_agree, differences_of, gradient_of, run_train_layer_test
from tests.tolerances import FLOAT64
from ttfs_keras.bats.encoder import LatencyEncoder

VARIANTS = {"default": {}, "range": {"time_window": 0.5, "input_range": (-1, 3)}}


@pytest.mark.parametrize("variant", VARIANTS)
def test_is_a_well_behaved_layer(variant, tmp_path):
    values = np.random.default_rng(0).uniform(-0.5, 1.5, (4, 3, 3, 2))
    run_train_layer_test(lambda: LatencyEncoder(dtype="float64", **VARIANTS[variant]), values, tmp_path)


@settings(deadline=None, max_examples=50)
@given(
    values=hnp.arrays(
        "float64", hnp.array_shapes(min_dims=2, max_dims=4), elements=st.floats(width=32, allow_subnormal=False)
    ),
    low=st.floats(-100, 100),
    width=st.floats(0.01, 100),
    window=st.floats(1e-3, 10),
)
def test_the_larger_the_earlier_the_lowest_silent_and_nan_stays_nan(values, low, width, window):
    high = low + width
    times = LatencyEncoder(window, (low, high), dtype="float64")(values).numpy()
    with np.errstate(all="ignore"):
        place = np.clip((values - low) / (high - low), 0, 1)
        expected = np.where(place == 0, np.inf, window * (1 - place))[..., None]
    np.testing.assert_allclose(times, expected, rtol=0, atol=FLOAT64)


def test_pixels_of_the_reference():
    times = LatencyEncoder(0.1, (0, 255))(np.array([[0, 51, 255]], "uint8"))
    assert times.dtype == "float32"
    np.testing.assert_allclose(times, np.array([[[np.inf], [0.08], [0]]], "float32"), rtol=1e-6)


def test_integers_keep_their_type_up_to_the_encoder():
    inputs = keras.Input((3,), dtype="uint8")
    model = keras.Model(inputs, LatencyEncoder(1.0, (0, 255), dtype="float64")(inputs))
    times = model.predict(np.array([[0, 51, 255]], "uint8"), verbose=0)
    np.testing.assert_array_equal(times, [[[np.inf], [0.8], [0]]])


def test_gradient():
    values = np.array([[0.2, 0.7, -0.5, 1.5, np.inf, 0.999]])
    layer = LatencyEncoder(0.1, dtype="float64")
    gradient = gradient_of(layer, values)
    assert_gradients_agree(gradient, differences_of(layer, values))
    np.testing.assert_allclose(gradient, [[-0.1, -0.1, 0, 0, 0, -0.1]], rtol=0, atol=FLOAT64)


def test_all_bad_arguments_are_named_at_once():
    with pytest.raises(ValueError, match="time_window=0") as error:
        LatencyEncoder(0, (1, float("nan")))
    assert "expected time_window > 0, finite" in str(error.value)
    assert "expected input_range=(p, q) with p < q, finite. Received: input_range=(1, nan)" in str(error.value)


@pytest.mark.parametrize("input_range", [(1, 0), (0.5, 0.5), (0, float("inf"))])
def test_an_empty_range_is_refused(input_range):
    with pytest.raises(ValueError, match=r"expected input_range=\(p, q\) with p < q"):
        LatencyEncoder(input_range=input_range)
