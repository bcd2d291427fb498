"""The event-driven simulator: independent proof of what the TTFS layers compute."""

import dataclasses
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.network.inputs import Inputs, outside_range
from ttfs_keras.ttfs.lead_times import LeadTimes, absolute_times
from ttfs_keras.ttfs.readout import TTFSReadout
from ttfs_keras.ttfs.relays import LINEAR_LAYERS, POOLS
from ttfs_keras.ttfs.schedule import Window, float64
from ttfs_keras.ttfs.simulation.composite import arriving, composite, delayed
from ttfs_keras.ttfs.simulation.membrane import fire, integrate
from ttfs_keras.ttfs.simulation.physics import Physics, physics_of
from ttfs_keras.ttfs.simulation.relays import relayed
from ttfs_keras.ttfs.simulation.wiring import Wiring, wiring_of
from ttfs_keras.ttfs.synapses import Synapses
from ttfs_keras.ttfs.synaptic_map import Populations

# Membranes, and incoming spikes, at a time: these arrays stay in the processor's cache and small.
_MEMBRANES, _SPIKES = 2**15, 2**20


@dataclasses.dataclass(frozen=True)
class Simulation:
    """What an event-driven simulation saw.

    Attributes:
        outputs: `(batch, ...)` float64, what the model returns, a list of several; a network that ends in spikes gives
            their lead times.
        spike_times: `{layer name: (batch, ..., neurons)}` float64 absolute times in window time, inf where silent, of
            the encoder, the spiking layers and the max pools.
        premature_by_layer: `{layer name: count}` neurons that reached threshold before their window, for each sample.
        saturated_by_layer: `{layer name: count}` neurons above threshold when their window opened. These are premature
            too, since the membrane is continuous. The fast path clips them and knows nothing of other premature ones.
        clipped_inputs: values outside the encoder's input range.
    """

    outputs: np.ndarray | list[np.ndarray]
    spike_times: dict[str, np.ndarray]
    premature_by_layer: dict[str, int]
    saturated_by_layer: dict[str, int]
    clipped_inputs: int

    @property
    def premature_spikes(self):
        """Sum of `premature_by_layer`."""
        return sum(self.premature_by_layer.values())

    @property
    def saturated_spikes(self):
        """Sum of `saturated_by_layer`."""
        return sum(self.saturated_by_layer.values())


def simulate(snn: keras.Model, x: Any, armed: bool = False) -> Simulation:
    """Run a TTFS network on events: every membrane integrated in absolute time, float64, from spike to spike.

        t < t_min:             dV_i/dt = A_i H(t - t_min_prev) + sum_j W_ij H(t - t_j),   V_i = 0 at first
        t_min <= t < t_max:    dV_i/dt = B_i
        one spike at the first V_i = theta_i = B_i (t_max - t_min) + A_i (t_min - t_min_prev) - D_i
        read-out:              V_i at the last t_max, A_i = D_i/(t_max - t_min);  V_i/B_i is the output

    It shares no formula with the layers' own `call`, the fast path, which never leaves lead times: nothing here
    computes `W x + b`, a convolution or a clipped ReLU. The two share the widths of the windows, the physical weights
    W, offsets D and slopes B that the layers hold, and the perturbations of emitted spikes. Where no neuron is
    premature they agree to rounding; with `armed=True` they always do. Times closer to t_min or t_max than 1e-12 of
    themselves count as equal to them.

    Source: Stanojevic et al., Nature Communications 15:6793 (2024); premature spikes and saturation are this package's.

    Args:
        snn: Sequential or Functional model, such as `convert` makes it. Where synapses are several layers (branches
            that meet, average pooling), their product is held as a list of at most 2**27 synapses, taken from them.
        x: inputs, see `ttfs_keras.network.inputs.Inputs`.
        armed: whether neurons are held until their window opens. By default one that reaches threshold before fires
            right then, and later layers integrate that premature spike from its arrival on. Counted either way.

    Returns:
        A `Simulation`, times in window time.

    Raises:
        ValueError: a layer cannot be simulated (all of them are listed), a slope B is not positive, weights or windows
            are not finite, or x does not fit the model or is not finite.

    Example:
        >>> relu = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).uniform(size=(20, 4))
        >>> result = tk.simulate(tk.convert(relu, x), x)
        >>> bool(np.allclose(result.outputs, relu(x), atol=1e-5)), result.premature_spikes
        (True, 0)
    """
    populations = Populations(snn)
    graph, carried = populations.graph, populations.carried
    behind = _check_layers(graph, carried)
    inputs = Inputs(snn, x, 1).arrays()
    physics = _physics(graph, carried, len(inputs[0]))

    arrays = {symbol: values.astype(np.float64) for symbol, values in zip(graph.inputs, inputs, strict=True)}
    times, premature, saturated, clipped = {}, {}, {}, 0
    array: Any
    for call in graph.calls:
        (source, *others), (target, *_), name = call.inputs, call.outputs, call.name
        operation: Any = call.operation
        window = carried[target].window
        if name in populations.maps:
            population = _population(call, populations.maps[name], arrays, carried, physics, window.start)
            array, premature[name], saturated[name] = _fire(population, window, armed)
            array = times[name] = _perturbed(array, window, getattr(operation, "neuron", operation))
        elif isinstance(operation, LeadTimes):
            values, encoder = arrays[source], call.operation
            clipped += outside_range(values, encoder.input_range)
            array = times[name] = _perturbed(_encode(values, *encoder.input_range), window, encoder)
        elif carried[target].kind == "spikes":
            array = relayed(call, [delayed(arrays, carried, symbol, window.end) for symbol in (source, *others)])
            if isinstance(operation, POOLS):
                times[name] = array[0]
            arrays |= zip(call.outputs, array, strict=True)
            continue
        elif carried[target].kind == "values":
            arrays |= zip(call.outputs, map(float64, call(arrays)), strict=True)
            continue
        else:  # potentials, which are summed where they are used
            array = arrays.get(source)
        arrays[target] = array

    outputs = [_output(symbol, populations, arrays, physics, behind) for symbol in graph.outputs]
    return Simulation(outputs[0] if len(outputs) == 1 else outputs, times, premature, saturated, clipped)


def _check_layers(graph, carried):
    """Return `{tensor behind the read-out: name of the call that is not linear}`.

    Raise one ValueError that lists every layer that cannot be simulated.
    """
    refused: list[str] = []
    behind: dict = {}
    for call in graph.calls:
        operation, inputs, kind = call.operation, call.inputs, type(call.operation)
        takes, gives = carried[inputs[0]].kind, carried[call.outputs[0]].kind
        reason = None
        roots = [behind[symbol] for symbol in inputs if symbol in behind]
        if isinstance(operation, (LeadTimes, TTFSReadout, *POOLS)) and roots:
            reason = f"stands behind {roots[0]}, which is not known to be linear"
        elif getattr(operation, "data_format", "channels_last") != "channels_last" and kind not in LINEAR_LAYERS:
            reason = "data_format is not channels_last"
        elif isinstance(operation, LeadTimes) and operation.encodes:
            reason = None if takes == "values" else f"takes values but is fed {takes}"
        elif isinstance(operation, LeadTimes | TTFSReadout):
            reason = None if takes != "values" else "stands before the encoder"
        elif isinstance(operation, POOLS):
            reason = None if gives == "spikes" else f"takes spikes but is fed {takes}"
        elif takes != "values" and (kind not in LINEAR_LAYERS or roots):
            behind |= dict.fromkeys(call.outputs, (roots or [call.name])[0])
        if reason is not None:
            refused.append(f"{call.name} ({kind.__name__}): {reason}")
    if refused:
        raise ValueError("The simulator cannot run these layers:\n  " + "\n  ".join(refused))
    return behind


def _physics(graph, carried, batch):
    """Return `{layer name: Physics}` of layers that take spikes themselves; refuse what has no physics."""
    found, refused = {}, []
    for call in graph.calls:
        operation, source, target = call.operation, call.inputs[0], call.outputs[0]
        if not isinstance(operation, Synapses):
            continue
        if carried[source].kind != "spikes":
            if operation.parameterization.initial_slope:
                refused.append(f"{call.name}: alpha1 needs spikes as inputs, not sums of them")
            continue
        shape = (batch, *source.shape[1:])
        physics = found[call.name] = physics_of(operation, shape)
        window = carried[target].window
        if not all(np.isfinite(part).all() for part in (physics.weights, physics.offsets, window)):
            refused.append(f"{call.name}: weights, offsets and window must be finite")
        elif unphysical := int((physics.slope <= 0).sum()):
            refused.append(f"{call.name}: slope B <= 0 for {unphysical} of {physics.slope.size} neurons")
        elif window.start >= window.end:
            refused.append(f"{call.name}: window of no width, {tuple(window)}")
    if refused:
        raise ValueError("These layers have no physical counterpart:\n  " + "\n  ".join(refused))
    return found


def _output(symbol, populations, arrays, physics, behind):
    """Return what the model gives at a tensor: digital values, lead times of spikes, or potentials."""
    call, carried = populations.graph.makers.get(symbol), populations.carried
    kind, window = carried[symbol]
    if symbol in behind:
        received = {
            source: tf.constant(_output(source, populations, arrays, physics, behind), tf.float64)
            for source in call.inputs
        }
        values = call.in_float64()(received)
        return float64(values[call.outputs.index(symbol)])
    if kind == "values":
        return arrays[symbol]
    if kind == "spikes":
        return np.where(np.isinf(arrays[symbol]), 0, window.end - arrays[symbol])
    return _read_out(_population(call, populations.map_to(symbol), arrays, carried, physics, window.end))


def _encode(values, low, high):
    """Return spike times 1 - v in [0, 1), inf at or below the range."""
    times = 1 - (np.clip(values, low, high) - low) / (high - low)
    return np.where(times < 1, times, np.inf)


def _perturbed(times, window, layer):
    """Return emitted spike times with the layer's perturbations; premature ones keep their distance to the window."""
    if not layer.perturbations:
        return times
    width = window.end - window.start
    lead = np.where(np.isinf(times), 0, window.end - times)
    ahead = np.maximum(lead - width, 0)
    moved = tf.constant(lead - ahead, tf.float64)
    for item in layer.perturbations:
        moved = item.perturb_spikes(moved, width)
    lead = moved.numpy() + ahead
    return absolute_times(lead, window.end)


@dataclasses.dataclass(frozen=True)
class _Population:
    """Neurons, the spikes that reach them, `(batch, ...)` in `window`, and the `shape` of their potentials."""

    spikes: np.ndarray
    window: Window
    wiring: Wiring
    physics: Physics
    shape: tuple

    def by_position(self, values):
        """Return what each neuron has, `(positions, neurons)`, from what broadcasts to the shape."""
        channels = self.shape[-1]
        full = np.broadcast_to(values.reshape(-1, channels), (math.prod(self.shape[1:-1]), channels))
        return full.reshape(len(self.wiring.taps), -1)

    def integrated(self, initial_slope, threshold, stop):
        """Yield rows of the flat potentials, their positions, and what `integrate` returns for them.

        Args:
            initial_slope: A, a number or `(kinds, neurons)`.
            threshold: `(positions, neurons)`.
            stop: when the integration ends.
        """
        taps, weights = self.wiring.taps, self.wiring.weights
        slopes = np.broadcast_to(initial_slope, (len(weights), weights.shape[2]))
        weights = np.concatenate([slopes[:, None], weights], axis=1)
        _, synapses, neurons = weights.shape
        flat = self.spikes.reshape(len(self.spikes), -1)
        spikes = np.pad(flat, ((0, 0), (0, 1)), constant_values=np.inf)
        size, total = max(1, min(_MEMBRANES // neurons, _SPIKES // synapses)), len(spikes) * len(taps)
        for start in range(0, total, size):
            rows = np.arange(start, min(start + size, total))
            sample, position = np.divmod(rows, len(taps))
            arriving, first = spikes[sample[:, None], taps[position]], synapses * self.wiring.kind[position]
            goal = threshold[position]
            yield (
                rows, position,
                *integrate(arriving, weights.reshape(-1, neurons), goal, self.window.start, stop, first),
            )  # fmt: skip


def _population(call, synapses, arrays, carried, physics, end):
    """Return the neurons that the synapses of a call, or those that lead to a tensor, feed."""
    if call.name in physics:
        (source,), laws = call.inputs, physics[call.name]
        wiring, shape = wiring_of(call.operation, arrays[source].shape, laws.weights)
        return _Population(arrays[source], carried[source].window, wiring, laws, shape)
    wiring, resting = composite(synapses, [arrays[source].shape[1:] for source in synapses.sources])
    spikes, window = arriving(synapses, arrays, carried, end)
    laws = Physics(wiring.weights, resting, 0.0, np.ones(resting.shape[-1]))
    return _Population(spikes, window, wiring, laws, (len(spikes), *resting.shape[1:]))


def _fire(population, window, armed):
    """Return the spike times of a population, and its counts of premature and saturated spikes."""
    laws, width = population.physics, population.window.end - population.window.start
    slope = population.by_position(laws.slope)
    rest = slope * (window.end - window.start) + laws.initial_slope * width
    threshold = rest - population.by_position(laws.offsets)
    fired = np.empty((population.shape[0] * len(slope), slope.shape[1]))
    premature = saturated = 0
    for rows, position, crossing, potential in population.integrated(laws.initial_slope, threshold, window.start):
        firing = fire(crossing, potential, threshold[position], slope[position], window, armed)
        fired[rows] = firing.times
        premature += firing.premature
        saturated += firing.saturated
    return fired.reshape(population.shape), premature, saturated


def _read_out(population):
    """Return the potentials of a read-out when the window of its inputs closes."""
    laws, window = population.physics, population.window
    slope = population.by_position(laws.slope)
    initial = laws.offsets.reshape(len(population.wiring.weights), -1) / (window.end - window.start)
    potentials = np.empty((population.shape[0] * len(slope), slope.shape[1]))
    for rows, position, _, potential in population.integrated(initial, np.full(slope.shape, np.inf), window.end):
        potentials[rows] = potential / slope[position]
    return potentials.reshape(population.shape)
