import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ttfs_keras.data import outside_range


@settings(deadline=None)
@given(hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=5), elements=st.floats(-5, 5, width=32)))
def test_counts_what_clipping_would_change(x):
    assert outside_range(x, (-1.0, 2.0)) == np.count_nonzero(np.clip(x, -1, 2) != x)


def test_ends_are_inside_and_nan_is_outside():
    assert outside_range(np.array([0.0, 1.0]), (0.0, 1.0)) == 0
    assert outside_range(np.array([np.nan, np.inf, -1e-9, 0.5]), (0.0, 1.0)) == 3


def test_empty():
    assert outside_range(np.empty((0, 3)), (0.0, 1.0)) == 0
