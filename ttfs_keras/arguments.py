"""Checks of constructor arguments."""

import math
import numbers

import ml_dtypes


def require(owner, *conditions):
    """Raise one ValueError that lists every condition that does not hold.

    Args:
        owner: name of what is being constructed.
        conditions: (holds, expected, received) each, `expected` and `received` as words.

    Raises:
        ValueError: a condition does not hold.
    """
    problems = [f"expected {expected}. Received: {received}" for holds, expected, received in conditions if not holds]
    if problems:
        raise ValueError(f"{owner} cannot work:\n  " + "\n  ".join(problems))


def finite(value, minimum=-math.inf):
    """Whether a value is a finite number, at least `minimum`."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and math.isfinite(value) and value >= minimum


def count(value):
    """Whether a value is an integer of at least 1."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= 1


def positive(value):
    """Whether a value is a finite number above 0."""
    return finite(value) and value > 0


def epsilon(dtype):
    """Return the spacing of a type of floats at 1, bfloat16's too, which NumPy does not know."""
    return float(ml_dtypes.finfo(dtype).eps)
