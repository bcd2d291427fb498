"""What the outputs of a network say: a class, yes or no, or a number; and how often that is right, or the same."""

from typing import Any

import keras
import numpy as np

from ttfs_keras.network import raw
from ttfs_keras.network.graph import Graph, Symbol
from ttfs_keras.network.spiking import Spiking

# Layers behind a sigmoid that leave its values alone in inference.
_PASSING = (keras.layers.Reshape, keras.layers.Flatten, keras.layers.Dropout, keras.layers.Identity)


class Answers:
    """How one output of a model is read: by which kind of answer its last layer gives.

        "labels"    behind a sigmoid: yes where a value is above 0.5, one answer for each value
        "classes"   more than one value on the last axis: the largest one is the answer, the first of equal ones
        "numbers"   one value, and no sigmoid: a regression, which has no answer that is right or wrong

    Args:
        graph: of the model.
        symbol: the output.

    Attributes:
        kind: one of the above.
    """

    def __init__(self, graph: Graph, symbol: Symbol):
        call = graph.makers.get(symbol)
        self._spiking = call.operation if call is not None and isinstance(call.operation, Spiking) else None
        while call is not None and isinstance(call.operation, _PASSING):
            call = graph.makers.get(call.inputs[0])
        last = None if call is None else call.operation
        activation = getattr(last, "activation", None)
        if isinstance(last, raw.SIGMOID) or activation is keras.activations.sigmoid:
            self.kind = "labels"
        else:
            several = self._spiking is not None or (symbol.shape[-1] or 2) > 1
            self.kind = "classes" if several else "numbers"

    def scores(self, output: Any) -> np.ndarray:
        """Return an output as the values that are compared; of a layer that spikes, counts or how early it spiked."""
        return np.asarray(output if self._spiking is None else self._spiking.class_scores(output))

    def accuracy(self, scores: np.ndarray, y: Any) -> float | None:
        """Return the share of answers that are right, or None for numbers.

        Args:
            scores: `(samples, ..., values)`.
            y: labels `(samples, ...)` or `(samples, ..., 1)`, or one-hot `(samples, ..., classes)`; for "labels" 0 and
                1 in the shape of the scores, with or without a last axis of 1. NaN scores are never right.

        Raises:
            ValueError: y has another shape.
        """
        y = np.asarray(y)
        if self.kind == "numbers":
            return None
        if self.kind == "labels":
            expected = y.reshape(scores.shape) if y.size == scores.size else None
            if expected is None:
                raise ValueError(_labels_error(f"0 and 1 of shape {scores.shape}", y))
            return float(np.mean(((scores > 0.5) == (expected > 0.5)) & ~np.isnan(scores)))
        if y.shape == scores.shape:
            y = y.argmax(-1)
        elif y.shape == (*scores.shape[:-1], 1):
            y = y[..., 0]
        if y.shape != scores.shape[:-1]:
            shapes = f"{scores.shape[:-1]}, {(*scores.shape[:-1], 1)} or one-hot {scores.shape}"
            raise ValueError(_labels_error(shapes, y))
        return float(np.mean((scores.argmax(-1) == y) & ~np.isnan(scores).any(-1)))

    def agreement(self, scores: np.ndarray, reference: np.ndarray) -> float | None:
        """Return the share of answers that are those of other scores, or None for numbers."""
        if self.kind == "numbers":
            return None
        defined = ~(np.isnan(scores) | np.isnan(reference))
        if self.kind == "labels":
            return float(np.mean(((scores > 0.5) == (reference > 0.5)) & defined))
        return float(np.mean((scores.argmax(-1) == reference.argmax(-1)) & defined.all(-1)))


def _labels_error(expected, y):
    return f"y: expected labels {expected}. Received: shape {y.shape}"


def mean(values: list[float | None]) -> float | None:
    """Return the mean of the numbers among some values, or None if there are none."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
