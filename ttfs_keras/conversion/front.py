"""The digital part of a model before its first synapses: table look-ups and functions of the inputs, then encoders."""

from typing import Any

import keras
import numpy as np
from keras import layers

from ttfs_keras.conversion.network import Network
from ttfs_keras.conversion.values import Emitted
from ttfs_keras.network.graph import Call, Graph, Symbol
from ttfs_keras.network.inputs import Inputs
from ttfs_keras.ttfs.encoder import TTFSEncoder

TABLES = (layers.Embedding, layers.IntegerLookup, layers.Discretization, layers.Hashing, layers.HashedCrossing)


def has_weights(operation: Any) -> bool:
    """Return whether an operation has weights, synapses if anything; a table that is looked up has none."""
    return bool(getattr(operation, "weights", ())) and not isinstance(operation, TABLES)


class Front:
    """What may stay digital before the encoders: calls without weights that depend on no others.

    A value is encoded where spikes are needed: an input in `input_range`, an embedding in the range of its table, any
    other value in its range on the calibration data.

    Args:
        graph: of the source.
        input_range: (p, q).
        data: the calibration data.

    Attributes:
        calls: set of the `Call`s.
    """

    def __init__(self, graph: Graph, input_range: tuple[float, float], data: Inputs):
        self.calls: set[Call] = set()
        self._graph = graph
        self._data = data
        low, high = input_range
        self._ranges = dict.fromkeys(graph.inputs, (float(low), float(high)))
        known = set(graph.inputs)
        for call in graph.calls:
            if known.issuperset(call.inputs) and not has_weights(call.operation):
                self.calls.add(call)
                known.update(call.outputs)

    def range_of(self, symbol: Symbol) -> tuple[float, float]:
        """Return (p, q) of a value."""
        if symbol not in self._ranges:
            operation = self._graph.makers[symbol].operation
            if isinstance(operation, layers.Embedding):
                found = [np.asarray(operation.embeddings)]
            else:
                run = self._graph.compiled([symbol])
                found = [np.asarray(run(*batch)[0]) for batch in self._data]
            low, high = float(min(part.min() for part in found)), float(max(part.max() for part in found))
            self._ranges[symbol] = (low, high if high > low else low + 1)
        return self._ranges[symbol]

    def encoded(self, network: Network) -> "Encoded":
        """Return the mapped values of a network that is begun."""
        return Encoded(self, self._graph, network)


class Encoded(dict):
    """`{Symbol: mapped value}`; a value of the front is encoded when it is first needed.

    Args:
        front: the `Front`.
        graph: of the source.
        network: that emits the copies of the front's operations and the encoders.

    Attributes:
        inputs: the spiking model's symbolic inputs.
    """

    def __init__(self, front: Front, graph: Graph, network: Network):
        super().__init__()
        self.inputs = [
            keras.Input(batch_shape=source.shape, dtype=source.dtype, name=source.name) for source in graph.model.inputs
        ]
        self._front = front
        self._graph = graph
        self._network = network
        self._tensors = dict(zip(graph.inputs, self.inputs, strict=True))
        dtypes = [source.dtype for source in graph.model.inputs]
        dtypes += [getattr(call.operation, "compute_dtype", None) for call in graph.calls]
        # The range is taken off before Keras rounds values to what a layer computes in.
        known = [dtype for dtype in dtypes if dtype is not None and "float" in dtype]
        self._dtype = keras.backend.result_type(*known) if known else keras.config.floatx()

    def __missing__(self, symbol: Symbol) -> Emitted:
        tensor = self._tensor(symbol)
        low, high = self._front.range_of(symbol)
        maker = self._graph.makers.get(symbol)
        if maker is not None:
            name = f"{maker.name}_encoder"
        else:
            name = "encoder" if len(self.inputs) == 1 else f"encoder_{tensor.name}"
        encoder = TTFSEncoder(
            (low, high), perturbation=self._network.perturbation, name=self._network.unique(name),
            dtype=self._dtype,
        )  # fmt: skip
        self[symbol] = Emitted(symbol.shape, np.full(1, high - low), np.full(1, low), encoder(tensor), spikes=True)
        return self[symbol]

    def _tensor(self, symbol):
        """Return the symbolic tensor of a value of the front."""
        if symbol not in self._tensors:
            call = self._graph.makers[symbol]
            self._tensors |= zip(call.outputs, self._copied(call), strict=True)
        return self._tensors[symbol]

    def _copied(self, call):
        received = [self._tensor(source) for source in call.inputs]
        if isinstance(call.operation, TABLES) and not call.operation.weights:
            return call(dict(zip(call.inputs, received, strict=True)))  # its table is not in its configuration
        return self._network.copies(call, received)
