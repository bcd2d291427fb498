"""Firing rates of the layers of a network, and its accuracy for every number of time steps."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.network.answers import Answers
from ttfs_keras.network.graph import Graph
from ttfs_keras.network.inputs import Inputs
from ttfs_keras.stbp.decoders import Decoder
from ttfs_keras.stbp.lif import LIF
from ttfs_keras.stbp.tdbn import check_trained


def firing_rates(model: keras.Model, x: Any, batch_size: int = 64) -> dict[str, float]:
    """Return `{layer name: spikes per neuron and time step}` of every `LIF`, a mean over all samples.

    Args:
        model: Functional model of STBP layers, with statistics in its batch norms.
        x: inputs, see `ttfs_keras.network.inputs.Inputs`; `x[:1]` for the rates of one sample.
        batch_size: samples at a time.

    Raises:
        ValueError: the model has no `LIF`, or a batch norm without statistics; or x does not fit it.

    Example:
        >>> model = keras.Sequential([keras.Input((2, 3)), stbp.LIF(threshold=0.5, decay=0.0, name="lif")])
        >>> stbp.firing_rates(model, np.array([[[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]]))
        {'lif': 0.5}
    """
    check_trained(model)
    graph = Graph(model)
    neurons = [call for call in graph.calls if isinstance(call.operation, LIF)]
    if not neurons:
        raise ValueError(f"firing_rates: expected a model with LIF layers. Received: {model.name}")

    def read(values):
        # Inside of the graph: all spikes of a deep network at once would fill the memory.
        counts = [call.operation.spike_counts(value) for call, value in zip(neurons, values, strict=True)]
        return [tf.reduce_sum(tf.reduce_mean(count, axis=tuple(range(1, count.shape.rank)))) for count in counts]

    run = graph.compiled([call.outputs[0] for call in neurons], read)
    totals, samples = np.zeros(len(neurons)), 0
    for batch in Inputs(model, x, batch_size):
        totals += [float(value) for value in run(*batch)]
        samples += len(batch[0])
    steps = [call.shape[1] or 1 for call in neurons]
    means = totals / samples / steps
    return dict(zip((call.name for call in neurons), means.tolist(), strict=True))


def accuracy_by_time(model: keras.Model, x: Any, y: Any, batch_size: int = 64) -> np.ndarray:
    """Return the accuracies `(T,)` that the network has if it is read out after its first 1, 2, ... T steps.

    One pass over the data gives all of them: what is read after t steps depends on these steps only.

    Args:
        model: Functional model that ends with a decoder, with statistics in its batch norms.
        x: inputs, see `ttfs_keras.network.inputs.Inputs`.
        y: labels `(samples,)` or `(samples, 1)`, or one-hot `(samples, classes)`.
        batch_size: samples at a time.

    Raises:
        ValueError: the model does not end with a decoder or has a batch norm without statistics; x does not fit it, or
            y does not fit x.

    Example:
        >>> model = keras.Sequential([keras.Input((2, 3)), stbp.MeanOverTime()])
        >>> stbp.accuracy_by_time(model, np.array([[[1.0, 0.0, 0.0], [0.0, 3.0, 0.0]]]), [1]).tolist()
        [0.0, 1.0]
    """
    check_trained(model)
    graph = Graph(model)
    last = graph.makers.get(graph.outputs[0])
    if last is None or not isinstance(last.operation, Decoder):
        raise ValueError(f"accuracy_by_time: expected a model that ends with a decoder. Received: {model.name}")
    reading = Answers(graph, graph.outputs[0])
    run = graph.compiled(last.inputs, lambda values: last.operation.prefixes(values[0]))
    scores = np.concatenate([np.asarray(run(*batch)) for batch in Inputs(model, x, batch_size)])
    if len(scores) != len(y):
        raise ValueError(f"Expected as many labels as inputs. Received: {len(y)} and {len(scores)}")
    return np.array([reading.accuracy(scores[:, step], y) for step in range(scores.shape[1])])
