"""The one check of what a model is fed, and the one way to take it in batches."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf


class Inputs:
    """Inputs of a model in batches, checked, that can be passed over again and again.

    Args:
        model: built `keras.Model`.
        x: array `(samples, ...)`; a list of arrays, or a dict by the inputs' names, for several inputs; or a
            `tf.data.Dataset` of batches of these, or of tuples led by them.
        batch_size: samples at a time; a data set keeps its own batches.
        name: of the argument that x was, for errors.
        error: class of the error.

    Raises:
        ValueError: inputs are no numbers, of another shape than the model's, not finite or none; lists all that is
            wrong. Arrays are checked at once, a data set as it is passed over.
    """

    def __init__(
        self, model: keras.Model, x: Any, batch_size: int, name: str = "x", error: type[ValueError] = ValueError
    ):
        self._model = model
        self._batch_size = batch_size
        self._name = name
        self._error = error
        self._data = x if isinstance(x, tf.data.Dataset) else self._checked(x)

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        """Yield the batches, each a list with an array for each input of the model, in the inputs' types."""
        for inputs, _ in self.with_labels():
            yield inputs

    def with_labels(self) -> Iterator[tuple[list[np.ndarray], Any]]:
        """Yield (batch, labels): those that a data set holds beside the inputs, else None."""
        if not isinstance(self._data, tf.data.Dataset):
            for at in range(0, len(self._data[0]), self._batch_size):
                yield [array[at : at + self._batch_size] for array in self._data], None
            return
        empty = True
        for item in self._data:
            empty = False
            inputs, labels = (item[0], item[1] if len(item) > 1 else None) if isinstance(item, tuple) else (item, None)
            yield self._checked(inputs), None if labels is None else keras.tree.map_structure(np.asarray, labels)
        if empty:
            raise self._error(f"{self._name}: expected at least one sample. Received: none")

    def first(self, samples: int) -> list[np.ndarray]:
        """Return at most so many samples of the first batch."""
        return [array[:samples] for array in next(iter(self))]

    def arrays(self) -> list[np.ndarray]:
        """Return all samples as one array for each input."""
        if not isinstance(self._data, tf.data.Dataset):
            return self._data
        return [np.concatenate(parts) for parts in zip(*self, strict=True)]

    def _checked(self, x):
        """Return the inputs as arrays of the model's types, or raise what is wrong with them."""
        symbols = self._model.inputs
        if isinstance(x, dict):
            missing = [symbol.name for symbol in symbols if symbol.name not in x]
            if missing:
                raise self._error(f"{self._name}: expected inputs {', '.join(missing)}. Received: {', '.join(x)}")
            x = [x[symbol.name] for symbol in symbols]
        one = isinstance(x, list | tuple) and len(x) == 1 and np.ndim(x[0]) == len(symbols[0].shape)
        several = one or (isinstance(x, list | tuple) and len(symbols) > 1)
        arrays = [np.asarray(array) for array in (x if several else [x])]
        problems = []
        if len(arrays) != len(symbols):
            problems.append(f"expected {len(symbols)} inputs. Received: {len(arrays)}")
        for array, symbol in zip(arrays, symbols, strict=False):
            problems += _problems(array, symbol, f"{symbol.name}: " if len(symbols) > 1 else "")
        if len({len(array) for array in arrays if array.ndim}) > 1:
            problems.append(f"expected inputs of one length. Received: {[len(array) for array in arrays]}")
        if problems:
            raise self._error(f"{self._name}: " + "; ".join(problems))
        # By way of NumPy a float64 array for a bfloat16 model would be refused.
        return [
            array if array.dtype == symbol.dtype else tf.cast(array, symbol.dtype).numpy()
            for array, symbol in zip(arrays, symbols, strict=True)
        ]


def _problems(array, symbol, which):
    expected = symbol.shape
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        return [f"{which}expected numbers. Received: dtype={array.dtype}"]
    fits = array.ndim == len(expected) and all(n in (None, m) for n, m in zip(expected, array.shape, strict=True))
    if not fits:
        return [f"{which}expected shape {expected}. Received: {array.shape}"]
    if not array.size:
        return [f"{which}expected at least one sample. Received: none"]
    bad = array.size - np.count_nonzero(np.isfinite(array))
    return [f"{which}expected finite values. Received: {bad} of {array.size} that are NaN or infinite"] if bad else []


def outside_range(x: Any, input_range: tuple[float, float]) -> int:
    """Return how many values lie outside [p, q]; a NaN lies outside.

    Args:
        x: array of any shape.
        input_range: (p, q).
    """
    low, high = input_range
    x = np.asarray(x)
    return int(x.size - np.count_nonzero((x >= low) & (x <= high)))
