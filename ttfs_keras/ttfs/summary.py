"""What a spiking network is made of, in window time: windows, delays, spikes, synaptic operations."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.network.inputs import Inputs
from ttfs_keras.network.operations import SynapticOperations
from ttfs_keras.network.spiking import read_out_time, spiking_calls
from ttfs_keras.ttfs.lead_times import LeadTimes
from ttfs_keras.ttfs.synaptic_map import Populations

BATCH = 32  # samples at a time, as in `synaptic_operations`: rounding depends on it


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
        synaptic_operations: of the layers of weights in front of it, mean over samples, see `network.operations`; None
            without inputs and for the encoder.
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
        output_operations: synaptic operations of the output layers, mean over samples; None without inputs.
    """

    rows: tuple[PopulationRow, ...]
    latency: float
    output_operations: float | None = None

    @property
    def synaptic_operations(self):
        """Synaptic operations of a sample, a mean, which `tk.synaptic_operations` returns, too; None without inputs."""
        counts = [row.synaptic_operations for row in self.rows if row.synaptic_operations is not None]
        return None if self.output_operations is None else sum(counts) + self.output_operations

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
        if self.synaptic_operations is not None:
            lines.append(f"synaptic operations of a sample: {self.synaptic_operations:.6g}, ")
            lines[-1] += f"{self.output_operations:.6g} of them of the output layer"
        return "\n".join([*lines, f"outputs are read at {self.latency:.6g}"])

    @property
    def rails(self):
        """`{name: neurons added}` of the negative halves of signed values (LeakyReLU, pools before ReLU)."""
        return {row.name: row.neurons for row in self.rows if row.name.endswith("_negative")}


def summary(snn: keras.Model, x: Any = None) -> Summary:
    """Describe a TTFS network: for each population its neurons, window, delays, latency so far, spikes and operations.

    Args:
        snn: Sequential or Functional model of TTFS layers, such as `convert` makes it.
        x: inputs, see `ttfs_keras.network.inputs.Inputs`, or None for no counts.

    Returns:
        `Summary`.

    Raises:
        ValueError: the model is another one, or x does not fit it.

    Example:
        >>> layers = [tk.TTFSEncoder(), tk.TTFSDense(3, window=2.0, name="hidden"), tk.TTFSReadout(1)]
        >>> found = tk.summary(keras.Sequential([keras.Input((4,)), *layers]), np.ones((1, 4)))
        >>> [(row.neurons, row.window, row.synaptic_operations) for row in found.rows], found.latency
        ([(4, 1.0, None), (3, 2.0, 12.0)], 3.0)
    """
    populations = Populations(snn)
    graph, carried = populations.graph, populations.carried
    names = {symbol: call.name for call in graph.calls for symbol in call.outputs}
    counts = {} if x is None else _counts(populations, Inputs(snn, x, BATCH))
    rows = []
    for call in graph.calls:
        symbol = call.outputs[0]
        if not isinstance(call.operation, LeadTimes):
            continue
        window = carried[symbol].window
        delays = {}
        for source in populations.maps[call.name].sources if call.name in populations.maps else ():
            waits = window.start - carried[source].window.end
            if waits > 1e-9 * window.start:
                delays[names[source]] = waits
        spikes, operations = counts.get(call.name, (None, None))
        neurons = int(np.prod([size or 1 for size in symbol.shape[1:]]))
        rows.append(
            PopulationRow(call.name, neurons, window.end - window.start, delays, window.end, spikes, operations)
        )
    time, _ = read_out_time(graph)
    return Summary(tuple(rows), time or 0.0, counts.get(None, (None, None))[1])


def _counts(populations, inputs):
    """Return `{name: (spikes per neuron, synaptic operations of a sample)}`; None is the name of the output layers."""
    graph = populations.graph
    counted = SynapticOperations(graph)
    # A layer of synapses belongs to the first population that it feeds.
    owner: dict[Any, str] = {}
    for name, synapses in populations.maps.items():
        for call in (*synapses.steps, synapses.call):
            owner.setdefault(call, name)
    spiking = spiking_calls(graph)
    emitted = [call.outputs[0] for call in spiking]
    taken = [call.inputs[0] for call in counted.calls]

    def read(values):
        spikes = [
            tf.reduce_sum(tf.cast(call.operation.spike_counts(value), tf.float64))
            for call, value in zip(spiking, values, strict=False)
        ]
        operations = [counted(call, v) for call, v in zip(counted.calls, values[len(spiking) :], strict=True)]
        return spikes, operations

    run = graph.compiled([*emitted, *taken], read)
    samples, spikes, operations = 0, np.zeros(len(spiking)), np.zeros(len(counted.calls))
    for batch in inputs:
        values = run(*batch)
        samples += len(batch[0])
        spikes += np.array(values[0])
        operations += np.array(values[1])
    of_name = dict.fromkeys([*populations.maps, None], 0.0)
    for call, number in zip(counted.calls, (operations / samples).tolist(), strict=True):
        of_name[owner.get(call)] += number
    neurons = [np.prod([size or 1 for size in symbol.shape[1:]]) for symbol in emitted]
    found = {
        call.name: (number / samples / size, of_name.get(call.name))
        for call, number, size in zip(spiking, spikes.tolist(), neurons, strict=True)
    }
    return found | {None: (None, of_name[None])}
