"""What the hardware of a population holds."""

import dataclasses
from typing import Any

import numpy as np

from ttfs_keras.ttfs.schedule import float64


@dataclasses.dataclass(frozen=True)
class Physics:
    """What a layer's hardware holds: W `(..., inputs, neurons)`, D, A and B, all float64 but the scalar A."""

    weights: np.ndarray
    offsets: np.ndarray
    initial_slope: float
    slope: np.ndarray


def physics_of(layer: Any, input_shape: tuple) -> Physics:
    """Return what a layer with synapses of its own holds, for inputs `(batch, ..., inputs)`."""
    weights, offsets = layer.physical_weights(input_shape)
    weights = float64(weights)
    offsets = np.zeros(weights.shape[-1]) if offsets is None else float64(offsets)
    return Physics(weights, offsets, layer.parameterization.initial_slope, float64(layer.slope(input_shape)))
