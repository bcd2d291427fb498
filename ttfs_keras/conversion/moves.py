"""What linear operations do to scales and offsets, found by evaluating them in float64."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.conversion.registry import Refusal
from ttfs_keras.conversion.values import Emitted
from ttfs_keras.network.graph import Call

FREE = 8  # stands for a size that is free
TOLERANCE = 1e-4  # TensorFlow resizes images in float32


def _evaluate(call: Call, arrays: list[np.ndarray]) -> list[np.ndarray]:
    tensors = {symbol: tf.constant(array) for symbol, array in zip(call.inputs, arrays, strict=True)}
    return [np.asarray(value) for value in call.in_float64()(tensors)]


def _filled(shape: tuple) -> tuple:
    return tuple(FREE if size is None else size for size in shape)


def check_linear(call: Call) -> None:
    """Raise `Refusal` unless a function of `keras.ops` sums values of a sample, and adds nothing to them.

    Layers do by their type; with functions it depends on their arguments: axes, indices, constants beside the tensors.
    """
    if isinstance(call.operation, keras.Layer):
        return
    random = np.random.default_rng(0)
    x, y = ([random.normal(size=(2, *_filled(symbol.shape[1:]))) for symbol in call.inputs] for _ in range(2))
    try:
        both, *singles = (_evaluate(call, part) for part in (x, [a[:1] for a in x], [a[1:] for a in x]))
        sums = _evaluate(call, [a + b for a, b in zip(x, y, strict=True)])
        others = _evaluate(call, y)
    except Exception as error:
        raise Refusal(f"it cannot be evaluated for single samples ({type(error).__name__})",
                      "keep the first axis free of it; give the model's inputs fixed shapes") from error  # fmt: skip
    for whole, *parts, total, other in zip(both, *singles, sums, others, strict=True):
        parted = np.concatenate(parts) if all(np.ndim(part) for part in parts) else None
        if parted is None or parted.shape != whole.shape or not np.allclose(parted, whole, atol=TOLERANCE):
            raise Refusal("it mixes the samples of a batch", "leave the first axis alone")
        if not np.allclose(total, whole + other, atol=TOLERANCE):
            raise Refusal("it adds constants or is not linear", "add constants with a bias or layers.Rescaling")


def of_constant(call: Call, fill: float) -> np.ndarray:
    """Return, for a sample, what an operation of a value and a constant gives where the value is `fill`.

    So it is rounded as Keras rounds it, and it shows by its shape along which axes it differs.
    """
    (symbol,) = call.inputs
    if call.shape != symbol.shape:
        raise Refusal(f"its constant repeats values, {symbol.shape} to {call.shape}", "repeat them before it")
    (result,) = call({symbol: tf.fill([1] * len(symbol.shape), tf.constant(fill, symbol.dtype))})
    result = np.asarray(result, np.float64)
    if len(result) != 1:
        raise Refusal("its constant differs between samples", "give it one for all")
    return result[0]


def moved_constants(call: Call, parts: list[Emitted]) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """Return (scale, offset) of each output of an operation that moves values.

    None where the values must be taken with their scales and offsets applied: they cannot be told from one another.
    """
    scale = parts[0].scale.flat[0]
    if all((part.scale == scale).all() and not part.offset.any() for part in parts):
        return [(np.full(1, scale), np.zeros(1))] * len(call.outputs)
    full = [
        [np.broadcast_to(getattr(part, name), _filled(part.shape[1:]))[None] for part in parts]
        for name in ("scale", "offset")
    ]
    try:
        scales, offsets = (_evaluate(call, arrays) for arrays in full)
    except Exception:  # a size that is free fits no stand-in
        return None
    found = []
    for symbol, *pair in zip(call.outputs, scales, offsets, strict=True):
        kept = [_without_free_sizes(array[0], symbol.shape[1:]) for array in pair]
        if any(array is None for array in kept):
            return None
        found.append(tuple(kept))
    return found


def _without_free_sizes(array: np.ndarray, shape: tuple) -> Any:
    """Return an array of constants with size 1 along free axes, `(channels,)` if it can; None if it differs there."""
    for axis, size in enumerate(shape):
        if size is None:
            first = array.take([0], axis)
            if not (array == first).all():
                return None
            array = first
    rows = array.reshape(-1, array.shape[-1])
    return rows[0] if (rows == rows[:1]).all() else array
