import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from ttfs_keras.network.encoding import checked_range, normalized


@given(st.floats(-10, 10), st.floats(0.1, 10), st.lists(st.floats(-30, 30), min_size=1))
def test_values_are_shares_of_their_range(low, width, values):
    found = normalized(tf.constant(values, tf.float64), (low, low + width)).numpy()
    np.testing.assert_allclose(found, np.clip((np.array(values) - low) / (low + width - low), 0, 1), atol=1e-12)


def test_nan_stays_nan():
    assert np.isnan(normalized(tf.constant([np.nan, 2.0]), (0.0, 1.0)).numpy()).tolist() == [True, False]


@pytest.mark.parametrize("given_range", [(1, 1), (2, 1), (0, np.inf), (np.nan, 1), (0,), 3, ("a", "b"), None])
def test_ranges_that_cannot_work_are_refused(given_range):
    with pytest.raises(ValueError, match=r"Expected input_range=\(p, q\) with p < q, finite. Received: input_range="):
        checked_range(given_range)
    assert checked_range((0, 2)) == (0.0, 2.0)
