import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import ttfs_keras as tk
from tests.layer_harness import lead_times, run_layer_test
from tests.tolerances import FLOAT64

VARIANTS = {
    "default": {},
    "range": {"input_range": (-3, 3)},
    "perturbed": {"perturbation": [tk.SpikeTimeJitter(0.05, seed=1), tk.TimeQuantization(3)]},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_is_a_well_behaved_layer(variant, tmp_path):
    run_layer_test(lambda: tk.TTFSEncoder(dtype="float64", **VARIANTS[variant]), lead_times((4, 3, 3, 2)), tmp_path)


@settings(deadline=None)
@given(
    values=hnp.arrays("float64", hnp.array_shapes(min_dims=2, max_dims=4), elements=st.floats(-1e6, 1e6)),
    low=st.floats(-100, 100),
    width=st.floats(0.01, 100),
)
def test_lead_time_is_the_place_in_the_range_clipped_to_it(values, low, width):
    high = low + width
    lead = tk.TTFSEncoder((low, high), dtype="float64")(values).numpy()
    np.testing.assert_allclose(lead, np.clip((values - low) / (high - low), 0, 1), rtol=0, atol=FLOAT64)


def test_brightest_pixel_fires_first_and_darkest_is_silent():
    lead = tk.TTFSEncoder((0, 255))(np.array([[0, 51, 255]], "uint8"))
    assert lead.dtype == "float32"
    np.testing.assert_array_equal(lead, np.array([[0, 0.2, 1]], "float32"))


def test_integers_keep_their_type_up_to_the_encoder():
    inputs = keras.Input((3,), dtype="uint8")
    model = keras.Model(inputs, tk.TTFSEncoder((0, 255), dtype="float64")(inputs))
    lead = model.predict(np.array([[0, 51, 255]], "uint8"), verbose=0)
    np.testing.assert_array_equal(lead, [[0, 0.2, 1]])


@pytest.mark.parametrize("input_range", [(1, 0), (0.5, 0.5), (0, float("nan"))])
def test_an_empty_range_is_refused(input_range):
    with pytest.raises(ValueError, match=r"Expected input_range=\(p, q\) with p < q"):
        tk.TTFSEncoder(input_range)
