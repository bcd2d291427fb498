"""What a spiking network is made of, in window time: windows, delays, spikes, synaptic operations."""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.ttfs.encoder import TTFSEncoder
from ttfs_keras.ttfs.schedule import checked_inputs, schedule
from ttfs_keras.ttfs.synaptic_map import Populations, connections


@dataclass(frozen=True)
class PopulationRow:
    """One population.

    Attributes:
        name: of the layer.
        neurons: how many, for one sample.
        window: width, in window time.
        delays: `{source: delay}` of the sources whose spikes must wait for a later branch; empty if none has to.
        latency: t_max, by which all its spikes have been emitted.
        spikes_per_neuron: mean over samples, None without inputs.
        synaptic_operations: spikes times synapses that each drives, mean over samples; None without inputs, or where
            the synapses are averages.
    """

    name: str
    neurons: int
    window: float
    delays: dict[str, float]
    latency: float
    spikes_per_neuron: float | None
    synaptic_operations: float | None


@dataclass(frozen=True)
class Summary:
    """What `summary` found; `str()` is a table.

    Attributes:
        rows: tuple of `PopulationRow`, the encoder first.
        latency: time at which the outputs are read.
    """

    rows: tuple[PopulationRow, ...]
    latency: float

    def __str__(self):
        width = max([5, *(len(row.name) for row in self.rows)])
        heads = ("neurons", "window", "latency", "spikes/neuron", "SynOps")
        lines = [f"{'layer':<{width}} " + " ".join(f"{head:>13}" for head in heads) + "  delays"]
        for row in self.rows:
            values = (row.neurons, row.window, row.latency, row.spikes_per_neuron, row.synaptic_operations)
            cells = " ".join(f"{'-' if value is None else f'{value:.6g}':>13}" for value in values)
            delays = ", ".join(f"{name} {delay:.4g}" for name, delay in row.delays.items())
            lines.append(f"{row.name:<{width}} {cells}  {delays}".rstrip())
        if self.rails:
            lines.append(f"signed values that travel as two spikes add {sum(self.rails.values())} neurons: "
                         + ", ".join(f"{name} {count}" for name, count in self.rails.items()))  # fmt: skip
        return "\n".join([*lines, f"outputs are read at {self.latency:.6g}"])

    @property
    def rails(self):
        """`{name: neurons added}` of the negative halves of signed values (LeakyReLU, pools before ReLU)."""
        return {row.name: row.neurons for row in self.rows if row.name.endswith("_negative")}


def summary(snn, x=None):
    """Describe a TTFS network: for each population its neurons, window, delays, latency so far, spikes and operations.

    Args:
        snn: Sequential or Functional model of TTFS layers, such as `convert` makes it.
        x: inputs `(samples, ...)`, or a list of them for several inputs, or None for no counts.

    Returns:
        `Summary`.

    Raises:
        ValueError: the model is another one, or x does not fit it.
    """
    populations = Populations(snn)
    windows = schedule(snn)
    names = {id(tensor): call.operation.name for tensor, call in _outputs(populations)}
    counts = {} if x is None else _counts(populations, checked_inputs(populations.model, x))
    rows = []
    for tensor, call in _outputs(populations):
        operation = call.operation
        if not (isinstance(operation, TTFSEncoder) or operation.name in populations.maps):
            continue
        window = windows[operation.name]
        delays = {}
        for source in getattr(populations.maps.get(operation.name), "sources", ()):
            waits = window.start - windows[names[id(source)]].end
            if waits > 1e-9 * window.start:
                delays[names[id(source)]] = waits
        spikes, operations = counts.get(operation.name, (None, None))
        neurons = int(np.prod([size or 1 for size in tensor.shape[1:]]))
        rows.append(
            PopulationRow(operation.name, neurons, window.end - window.start, delays, window.end, spikes, operations)
        )
    return Summary(tuple(rows), max(windows[names[id(t)]].end for t in populations.model.outputs))


def _outputs(populations):
    return [(tensor, call) for call in populations.calls for tensor in call.outputs]


def _counts(populations, inputs):
    """Return `{name: (spikes per neuron, synaptic operations of a sample)}`."""
    counts = {}

    def fire(layer, synapses, leads, potential):
        lead = getattr(layer, "neuron", layer)(potential)
        operations = None
        if not any(_averages(call.operation) for call in synapses.steps):
            spikes = [tf.cast(source > 0, source.dtype) for source in leads]
            operations = float(tf.reduce_sum(synapses(spikes, constant=False, weights=connections))) / len(inputs[0])
        counts[layer.name] = float(tf.reduce_mean(tf.cast(lead > 0, tf.float64))), operations
        return lead

    tensors = populations.visit([tf.constant(array) for array in inputs], fire)
    for tensor, call in _outputs(populations):
        if isinstance(call.operation, TTFSEncoder):
            share = float(tf.reduce_mean(tf.cast(tensors[id(tensor)] > 0, tf.float64)))
            counts[call.operation.name] = share, None
    return counts


def _averages(operation):
    return isinstance(
        operation,
        keras.layers.AveragePooling1D | keras.layers.AveragePooling2D | keras.layers.AveragePooling3D
        | keras.layers.GlobalAveragePooling1D | keras.layers.GlobalAveragePooling2D
        | keras.layers.GlobalAveragePooling3D | keras.layers.Average,
    )  # fmt: skip
