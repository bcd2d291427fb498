"""How many weights a network applies to one input."""

from typing import Any

import keras
import numpy as np

from ttfs_keras.network.graph import Graph
from ttfs_keras.network.inputs import Inputs
from ttfs_keras.network.operations import SynapticOperations


def synaptic_operations(model: keras.Model, x: Any, batch_size: int = 32) -> float:
    """Return how many weights a network applies to an input, a mean over samples.

        operations = sum over inputs j of n_j fan_out(j)

    A ReLU network multiplies by every weight at every position. A spiking network adds a weight for each spike that
    reaches it. What counts in detail: `ttfs_keras.network.operations`.

    Args:
        model: Functional or Sequential model of dense and convolutional layers, ReLU, TTFS, BATS or STBP.
        x: inputs, see `ttfs_keras.network.inputs.Inputs`.
        batch_size: samples at a time.

    Raises:
        ValueError: a layer has weights of another kind (lists all of them), or x does not fit the model.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), tk.TTFSEncoder(), tk.TTFSReadout(3)])
        >>> tk.synaptic_operations(model, np.array([[0.0, 0.5, 0.0, 1.0]]))
        6.0
    """
    graph = Graph(model)
    counted = SynapticOperations(graph)

    def read(values):
        return sum(counted(call, value) for call, value in zip(counted.calls, values, strict=True))

    run = graph.compiled([call.inputs[0] for call in counted.calls], read)
    total, samples = 0.0, 0
    for batch in Inputs(model, x, batch_size):
        total += float(np.asarray(run(*batch)))
        samples += len(batch[0])
    return total / samples
