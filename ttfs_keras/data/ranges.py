"""The report on inputs that the encoder would clip."""

import numpy as np


def outside_range(x: np.ndarray, input_range: tuple[float, float]) -> int:
    """Return how many values of `x` lie outside [p, q]; a NaN lies outside.

    Args:
        x: any shape.
        input_range: (p, q).
    """
    p, q = input_range
    x = np.asarray(x)
    return int(x.size - np.count_nonzero((x >= p) & (x <= q)))
