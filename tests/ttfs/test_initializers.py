import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import ttfs_keras as tk
from tests.tolerances import FLOAT64


class Given(keras.initializers.Initializer):
    """Draws what it was given."""

    def __init__(self, values):
        self.values = values

    def __call__(self, shape, dtype=None):
        return keras.ops.convert_to_tensor(self.values, dtype)


@pytest.mark.parametrize("shape", [(340, 30), (3, 3, 16, 30)])
def test_smart_synapses_realize_the_weights_that_were_drawn(shape):
    drawn = keras.initializers.HeNormal(seed=1)(shape, "float64").numpy()
    weights = tk.SmartAlpha1(keras.initializers.HeNormal(seed=1))(shape, "float64").numpy()
    axes = tuple(range(len(shape) - 1))
    slope = 1 + weights.sum(axes)
    assert (slope > 0).all()
    kept = drawn.sum(axes) <= 0.99
    assert kept.any()
    np.testing.assert_allclose((weights / slope)[..., kept], drawn[..., kept], rtol=0, atol=FLOAT64)


@given(hnp.arrays("float64", (3, 4), elements=st.floats(-20, 20).filter(lambda w: w == 0 or abs(w) > 1e-6)))
def test_smart_slopes_are_positive_and_rows_are_only_scaled(drawn):
    weights = tk.SmartAlpha1(Given(drawn))(drawn.shape, "float64").numpy()
    total = drawn.sum(0)
    kept = np.clip(total, -10, 0.99)
    assert np.isfinite(weights).all()
    slope = 1 + weights.sum(0)
    # The sum of the weights cancels; what it cancels from sets its scale.
    scale = 1 + abs(weights).sum(0)
    np.testing.assert_allclose(slope / scale, 1 / (1 - kept) / scale, rtol=0, atol=FLOAT64)
    factor = np.divide(kept, total, out=np.ones(4), where=total != kept)
    np.testing.assert_allclose(weights * (1 - kept), drawn * factor, rtol=FLOAT64, atol=FLOAT64)


def test_naive_synapses_are_what_was_drawn():
    drawn = keras.initializers.HeNormal(seed=1)((5, 3), "float64")
    weights = tk.NaiveAlpha1(keras.initializers.HeNormal(seed=1))((5, 3), "float64")
    np.testing.assert_array_equal(weights, drawn)


@pytest.mark.parametrize("initializer", [tk.SmartAlpha1, tk.NaiveAlpha1])
def test_config_round_trip_draws_the_same(initializer):
    original = initializer(keras.initializers.GlorotUniform(seed=3))
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(original))
    np.testing.assert_array_equal(copy((4, 5)), original((4, 5)))
    assert copy.get_config() == original.get_config()


@pytest.mark.parametrize("initializer", [tk.SmartAlpha1, tk.NaiveAlpha1])
def test_an_unknown_initializer_is_refused(initializer):
    with pytest.raises(ValueError, match="nonsense"):
        initializer("nonsense")
