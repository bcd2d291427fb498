"""Firing rates of the layers of a network, and its accuracy for every number of time steps."""

import keras
import numpy as np
from keras import ops

from ttfs_keras.network.graph import as_functional, compiled
from ttfs_keras.stbp.decoders import Decoder
from ttfs_keras.stbp.lif import LIF
from ttfs_keras.stbp.network import calls_of, producers
from ttfs_keras.stbp.tdbn import check_trained
from ttfs_keras.ttfs.schedule import checked_inputs


def firing_rates(model, x, batch_size=64):
    """Return `{layer name: spikes per neuron and time step}` of every `LIF`, a mean over all samples.

    Args:
        model: Functional model of STBP layers, with statistics in its batch norms.
        x: inputs `(samples, ...)`; `x[:1]` for those of one sample.
        batch_size: samples at a time.

    Raises:
        ValueError: the model has no `LIF`, a batch norm without statistics or a layer that is called twice; or the
            inputs have another shape than the model's, hold NaN or are none.
    """
    check_trained(model)
    neurons = calls_of(model, LIF)
    if not neurons:
        raise ValueError(f"firing_rates: expected a model with LIF layers. Received: {model.name}")
    spikes = [call.outputs[0] for call in neurons.values()]
    # The mean is part of the graph: all spikes of a deep network at once would fill the memory.
    means = [ops.mean(tensor, axis=tuple(range(1, len(tensor.shape)))) for tensor in spikes]
    rates = np.concatenate(_evaluate(keras.Model(as_functional(model).inputs, means), x, batch_size), axis=1)
    return dict(zip(neurons, rates.mean(1).tolist(), strict=True))


def accuracy_by_time(model, x, y, batch_size=64):
    """Return the accuracies `(T,)` that the network has if it is read out after its first 1, 2, ... T steps.

    One pass over the data gives all of them: what is read after t steps depends on these steps only.

    Args:
        model: Functional model that ends with a decoder, with statistics in its batch norms.
        x: inputs `(samples, ...)`.
        y: labels `(samples,)`.
        batch_size: samples at a time.

    Raises:
        ValueError: the model does not end with a decoder or has a batch norm without statistics; or inputs are as in
            `firing_rates` or differ in number from the labels.
    """
    check_trained(model)
    graph = as_functional(model)
    last = producers(graph).get(id(graph.outputs[0]))
    if last is None or not isinstance(last.operation, Decoder):
        raise ValueError(f"accuracy_by_time: expected a model that ends with a decoder. Received: {model.name}")
    if len(x) != len(y):
        raise ValueError(f"Expected as many labels as inputs. Received: {len(y)} and {len(x)}")
    sequences = _evaluate(keras.Model(graph.inputs, last.inputs[0]), x, batch_size)
    logits = np.concatenate([last.operation.prefixes(ops.convert_to_tensor(sequence)) for (sequence,) in sequences])
    return np.mean(logits.argmax(-1) == np.asarray(y)[:, None], axis=0)


def _evaluate(model, x, batch_size):
    """Return for each batch the list of a model's outputs."""
    (values,) = checked_inputs(model, x)
    evaluate = compiled(model)
    return [
        [np.asarray(output) for output in evaluate(values[start : start + batch_size])]
        for start in range(0, len(values), batch_size)
    ]
