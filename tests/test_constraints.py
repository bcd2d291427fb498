import math

import keras
import numpy as np
import pytest

from ttfs_keras.constraints import Between


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("high", "expected"), [(math.inf, [0.5, 0.5, 2.0, 9.0]), (3.0, [0.5, 0.5, 2.0, 3.0])])
def test_values_are_moved_into_the_range(dtype, high, expected):
    constraint = Between(0.5, high)
    restored = keras.constraints.deserialize(keras.constraints.serialize(constraint))
    for each in (constraint, restored):
        moved = keras.ops.convert_to_numpy(each(keras.ops.convert_to_tensor([-1.0, 0.5, 2.0, 9.0], dtype)))
        assert moved.dtype == dtype
        np.testing.assert_array_equal(moved, np.array(expected, dtype))
