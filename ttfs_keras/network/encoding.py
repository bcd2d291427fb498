"""From values to shares of their range, alike in the encoders of all families."""

import math
from typing import Any

import tensorflow as tf


def checked_range(input_range: Any) -> tuple[float, float]:
    """Return (p, q) as floats.

    Raises:
        ValueError: they are not two finite numbers with p < q.
    """
    try:
        low, high = map(float, input_range)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"Expected input_range=(p, q) with p < q, finite. Received: input_range={input_range}")
    return low, high


def normalized(values: tf.Tensor, input_range: tuple[float, float]) -> tf.Tensor:
    """Return clip((value - p)/(q - p), 0, 1); NaN stays NaN.

    Shapes: values `(batch, ...)`, of a floating-point type, to the same.
    """
    low, high = input_range
    return tf.clip_by_value((values - low) / (high - low), 0, 1)
