"""The event-driven simulator: independent proof of what the TTFS layers compute."""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.network.inputs import Inputs, outside_range
from ttfs_keras.ttfs.conv2d import TTFSConv2D
from ttfs_keras.ttfs.lead_times import LeadTimes, absolute_times
from ttfs_keras.ttfs.readout import TTFSReadout
from ttfs_keras.ttfs.relays import LINEAR_LAYERS, POOLS
from ttfs_keras.ttfs.schedule import float64
from ttfs_keras.ttfs.simulation.composite import composite, delayed
from ttfs_keras.ttfs.simulation.membrane import fire, integrate
from ttfs_keras.ttfs.simulation.patches import image_taps, padded, patches
from ttfs_keras.ttfs.simulation.physics import physics_of
from ttfs_keras.ttfs.simulation.relays import relayed
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
            that meet, average pooling), their product is held as one matrix of at most 2**27 weights, taken from them.
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
            if name in physics:
                array, arriving, laws, layer = arrays[source], carried[source].window, physics[name], operation
            else:
                array, arriving, laws = composite(populations.maps[name], arrays, carried, window.start)
                layer = None
            array, premature[name], saturated[name] = _fire(layer, array, arriving, window, laws, armed)
            array = array.reshape(-1, *target.shape[1:]) if layer is None else array
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
    if call.name in physics:
        return _read_out(arrays[call.inputs[0]], carried[call.inputs[0]].window, physics[call.name])
    spikes, window, laws = composite(populations.map_to(symbol), arrays, carried, window.end)
    return _read_out(spikes, window, laws).reshape(-1, *symbol.shape[1:])


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


def _fire(layer, times, arriving, window, physics, armed):
    """Return the spike times of a spiking layer, and its counts of premature and saturated spikes."""
    if isinstance(layer, TTFSConv2D):
        batch, height, width, channels = times.shape
        taps, image_shape = image_taps(
            (height, width), layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding
        )
        shape, groups = (batch, *image_shape, layer.filters), layer.groups
        images = padded(times.reshape(batch, height * width, channels), np.inf)
    else:
        # A dense neuron sees one pixel.
        taps, shape, groups = np.zeros((1, 1), int), (*times.shape[:-1], physics.weights.shape[-1]), 1
        images = times.reshape(-1, 1, times.shape[-1])
    rest = physics.slope * (window.end - window.start) + physics.initial_slope * (arriving.end - arriving.start)
    threshold = np.broadcast_to((rest - physics.offsets).reshape(-1, shape[-1]), (len(taps), shape[-1]))

    fired = np.empty((len(images) * len(taps), shape[-1]))
    premature = saturated = 0
    per_group = shape[-1] // groups, images.shape[-1] // groups
    for group in range(groups):
        neurons, inputs = (slice(group * size, (group + 1) * size) for size in per_group)
        weights = _with_slope(physics.weights[..., neurons], physics.initial_slope)
        for rows in _chunks(len(fired), *weights.shape):
            spikes = patches(images[..., inputs], taps, rows).reshape(len(rows), -1)
            goal = threshold[rows % len(taps), neurons]
            crossing, potential = integrate(spikes, weights, goal, arriving.start, window.start)
            firing = fire(crossing, potential, goal, physics.slope[neurons], window, armed)
            fired[rows, neurons] = firing.times
            premature += firing.premature
            saturated += firing.saturated
    return fired.reshape(shape), premature, saturated


def _read_out(times, window, physics):
    """Return the potentials of a read-out when the window of its inputs closes."""
    spikes = times.reshape(-1, times.shape[-1])
    weights = _with_slope(physics.weights, physics.offsets / (window.end - window.start))
    potentials = np.empty((len(spikes), weights.shape[1]))
    for rows in _chunks(len(spikes), *weights.shape):
        potentials[rows] = integrate(spikes[rows], weights, np.inf, *window)[1]
    return (potentials / physics.slope).reshape(*times.shape[:-1], -1)


def _with_slope(weights, slope):
    """Return the weights as `integrate` takes them, the slope A first."""
    weights = weights.reshape(-1, weights.shape[-1])
    return np.concatenate([np.broadcast_to(slope, (1, weights.shape[1])), weights])


def _chunks(rows, inputs, neurons):
    """Yield the indices of as many rows at a time as fit."""
    size = max(1, min(_MEMBRANES // neurons, _SPIKES // inputs))
    for start in range(0, rows, size):
        yield np.arange(start, min(start + size, rows))
