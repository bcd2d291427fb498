"""What flows between a source model's operations while they are mapped."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True)
class Spikes:
    """The source's value `scale * x + offset`, of which only the lead times x travel.

    Attributes:
        tensor: symbolic lead times `(batch, ..., channels)` of the spiking network.
        scale, offset: `(channels,)` float64; a batch norm or input range not yet folded into the next layer.
    """

    tensor: Any
    scale: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True)
class Potential:
    """A linear layer's output that has not fired yet.

    Attributes:
        layer: the source's `Dense` or `Conv2D`.
        inputs: the spikes it integrates.
        kernel, bias: float64 weights for the source's values, `(..., inputs, neurons)` and `(neurons,)`.
    """

    layer: keras.layers.Layer
    inputs: Spikes
    kernel: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Digital:
    """Read-out potentials and whatever follows them; nothing spikes behind them.

    Attributes:
        tensor: symbolic `(batch, ...)`.
    """

    tensor: Any
