"""What flows between a source model's operations while they are mapped."""

from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from ttfs_keras.conversion.registry import Refusal


@dataclass(frozen=True, eq=False)
class Value:
    """The source's value `scale * v + offset`, of which only v is computed by the spiking network.

    Attributes:
        shape: of the source's tensor, `(None, ..., channels)`.
        scale: float64, broadcasts to `shape[1:]`: batch norms, input ranges, window units not yet folded.
        offset: likewise.
    """

    shape: tuple
    scale: np.ndarray = field(default_factory=lambda: np.ones(1))
    offset: np.ndarray = field(default_factory=lambda: np.zeros(1))

    def per_channel(self):
        """Return scale and offset as `(channels,)` each, or None where they differ between positions."""
        found = []
        for values in (self.scale, self.offset):
            if values.ndim > 1 and None in self.shape[1:]:
                return None
            rows = np.broadcast_to(values, self.shape[1:] if values.ndim > 1 else self.shape[-1:])
            rows = rows.reshape(-1, self.shape[-1])
            if not (rows == rows[:1]).all():
                return None
            found.append(rows[0])
        return found


@dataclass(frozen=True, eq=False)
class Emitted(Value):
    """A value whose v is a tensor of the spiking network.

    Attributes:
        tensor: symbolic `(batch, ...)`.
        spikes: whether v are lead times of spikes, >= 0; else potentials, which may be negative.
    """

    tensor: Any = None
    spikes: bool = False


@dataclass(frozen=True, eq=False)
class Deferred(Value):
    """The output of a linear layer that is not emitted yet, so that scale and offset can fold into its weights.

    Attributes:
        layer: the source's layer.
        source: the `Value` that it takes.
        name: of the call.
    """

    layer: Any = None
    source: Any = None
    name: str = ""


@dataclass(frozen=True, eq=False)
class Digital:
    """Read-out potentials and whatever follows them; nothing spikes behind them.

    Attributes:
        tensor: symbolic `(batch, ...)`.
        causes: lines of an error, one for each operation that made it digital, should spikes be needed behind it.
    """

    tensor: Any
    causes: tuple[str, ...] = ()


def placeholders(symbols: Any) -> list[Emitted]:
    """Return something in the place of values, so that what follows a refused operation is checked too."""
    return [Emitted(s.shape, tensor=keras.Input(batch_shape=s.shape, dtype=s.dtype)) for s in symbols]


def affine(value: Any, scale: Any, offset: Any) -> Any:
    """Return `scale * value + offset`, to be folded into the weights before or after it."""
    return replace(value, scale=value.scale * scale, offset=value.offset * scale + offset)


def widest(tensors: Any) -> str:
    """Return the name of the dtype that holds what all of some tensors hold."""
    return keras.backend.result_type(*(tensor.dtype for tensor in tensors))


def channels_last(layer: Any) -> None:
    """Raise `Refusal` if a layer's channels come first."""
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise Refusal("data_format is 'channels_first'", "build the model with channels_last")
