"""The event-driven simulator: independent proof of what the TTFS layers compute."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.network.graph import as_functional
from ttfs_keras.ttfs.affine import Affine
from ttfs_keras.ttfs.conv2d import TTFSConv2D
from ttfs_keras.ttfs.encoder import TTFSEncoder
from ttfs_keras.ttfs.neuron import TTFSNeuron
from ttfs_keras.ttfs.readout import TTFSReadout
from ttfs_keras.ttfs.schedule import POOLS, RELAYS, Window, checked_inputs, float64, steps
from ttfs_keras.ttfs.simulation.membrane import fire, integrate
from ttfs_keras.ttfs.simulation.patches import image_taps, patches
from ttfs_keras.ttfs.synapses import SpikingSynapses, Synapses
from ttfs_keras.ttfs.synaptic_map import Populations

_RESHAPES = (keras.layers.Flatten, keras.layers.Permute, keras.layers.Reshape)
_DIGITAL = (keras.layers.Activation, keras.layers.Softmax)
_DIGITAL_ACTIVATIONS = (keras.activations.linear, keras.activations.sigmoid, keras.activations.softmax)
# Layers of which synapses may consist besides those with neurons: their output is linear in the lead times.
_LINEAR = (
    keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D, keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose, keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D, keras.layers.SeparableConv1D, keras.layers.SeparableConv2D,
    keras.layers.AveragePooling1D, keras.layers.AveragePooling2D, keras.layers.AveragePooling3D,
    keras.layers.GlobalAveragePooling1D, keras.layers.GlobalAveragePooling2D, keras.layers.GlobalAveragePooling3D,
    keras.layers.Add, keras.layers.Subtract, keras.layers.Average, Affine, *RELAYS,
)  # fmt: skip
_SYNAPSES = 2**27  # of a population whose synapses are several layers, held as one matrix

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


def simulate(snn, x, armed=False):
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
        x: `(batch, ...)` inputs of the model, or a list of them.
        armed: whether neurons are held until their window opens. By default one that reaches threshold before fires
            right then, and later layers integrate that premature spike from its arrival on. Counted either way.

    Returns:
        A `Simulation`, times in window time.

    Raises:
        ValueError: a layer cannot be simulated (all of them are listed), a slope B is not positive, weights or windows
            are not finite, or x is not numeric, has another shape or holds NaN.
    """
    model = as_functional(snn)
    populations = Populations(model)
    carried = populations.carried
    _check_layers(model, carried)
    inputs = checked_inputs(model, x)
    physics = _physics_of_all(model, carried, len(inputs[0]))

    arrays = {id(symbol): values.astype(np.float64) for symbol, values in zip(model.inputs, inputs, strict=True)}
    times, premature, saturated, clipped = {}, {}, {}, 0
    for operation, (source, *others), (target, *_), _ in steps(model):
        window = carried[id(target)].window
        if isinstance(operation, TTFSEncoder):
            low, high = operation.input_range
            values = arrays[id(source)]
            clipped += int(((values < low) | (values > high)).sum())
            array = times[operation.name] = _perturbed(_encode(values, low, high), window, operation)
        elif operation.name in populations.maps:
            name = operation.name
            if name in physics:
                array, arriving, laws, layer = arrays[id(source)], carried[id(source)].window, physics[name], operation
            else:
                array, arriving, laws = _composite(populations.maps[name], arrays, carried, window.start)
                layer = None
            array, premature[name], saturated[name] = _fire(layer, array, arriving, window, laws, armed)
            array = array.reshape(-1, *target.shape[1:]) if layer is None else array
            array = times[name] = _perturbed(array, window, getattr(operation, "neuron", operation))
        elif carried[id(target)].kind == "spikes":
            sources = [source, *others]
            array = _relayed(operation, [_delayed(arrays, carried, s, window.end) for s in sources])
            if isinstance(operation, POOLS):
                times[operation.name] = array
        else:  # potentials, which are summed where they are used, or values before the encoder
            array = arrays.get(id(source))
        arrays[id(target)] = array

    outputs = [_output(tensor, populations, arrays, physics) for tensor in model.outputs]
    return Simulation(outputs[0] if len(outputs) == 1 else outputs, times, premature, saturated, clipped)


@dataclasses.dataclass(frozen=True)
class _Physics:
    """What a layer's hardware holds: W `(..., inputs, neurons)`, D, A and B, all float64 but the scalar A."""

    weights: np.ndarray
    offsets: np.ndarray
    initial_slope: float
    slope: np.ndarray


def _check_layers(model, carried):
    """Raise one ValueError that lists every layer that cannot be simulated."""
    refused: list[str] = []
    heads: set[int] = set()
    for operation, inputs, outputs, _ in steps(model):
        kind = type(operation)
        takes, gives = carried[id(inputs[0])].kind, carried[id(outputs[0])].kind
        reason = None
        if getattr(operation, "data_format", "channels_last") != "channels_last":
            reason = "data_format is not channels_last"
        elif any(id(tensor) in heads for tensor in inputs) and kind not in (*_DIGITAL, *_RESHAPES):
            reason = "stands behind a softmax or sigmoid"
        elif isinstance(operation, _DIGITAL):
            if getattr(operation, "activation", _DIGITAL_ACTIVATIONS[0]) not in _DIGITAL_ACTIVATIONS:
                reason = "not a softmax or sigmoid"
            elif takes != "potentials":
                reason = f"takes potentials but is fed {takes}"
            if reason is None:
                heads.update(id(tensor) for tensor in outputs)
        elif isinstance(operation, TTFSEncoder):
            reason = None if takes == "values" else f"takes values but is fed {takes}"
        elif takes == "values":
            reason = "stands before the encoder"
        elif isinstance(operation, POOLS):
            reason = None if gives == "spikes" else f"takes spikes but is fed {takes}"
        elif not isinstance(operation, SpikingSynapses | TTFSNeuron | TTFSReadout) and kind not in _LINEAR:
            reason = "not a layer that it knows"
        if reason is not None:
            refused.append(f"{operation.name} ({kind.__name__}): {reason}")
    if refused:
        raise ValueError("The simulator cannot run these layers:\n  " + "\n  ".join(refused))


def _physics_of_all(model, carried, batch):
    """Return `{layer name: _Physics}` of layers that take spikes themselves; refuse what has no physics."""
    found, refused = {}, []
    for operation, (source, *_), (target, *_), _ in steps(model):
        if not isinstance(operation, Synapses):
            continue
        if carried[id(source)].kind != "spikes":
            if operation.parameterization.initial_slope:
                refused.append(f"{operation.name}: alpha1 needs spikes as inputs, not sums of them")
            continue
        shape = (batch, *source.shape[1:])
        physics = found[operation.name] = _physics(operation, shape)
        window = carried[id(target)].window
        if not all(np.isfinite(part).all() for part in (physics.weights, physics.offsets, window)):
            refused.append(f"{operation.name}: weights, offsets and window must be finite")
        elif unphysical := int((physics.slope <= 0).sum()):
            refused.append(f"{operation.name}: slope B <= 0 for {unphysical} of {physics.slope.size} neurons")
        elif window.start >= window.end:
            refused.append(f"{operation.name}: window of no width, {tuple(window)}")
    if refused:
        raise ValueError("These layers have no physical counterpart:\n  " + "\n  ".join(refused))
    return found


def _delayed(arrays, carried, source, end):
    """Return the spike times of a source, delayed so that its window ends at `end`."""
    return arrays[id(source)] + (end - carried[id(source)].window.end)


def _composite(synapses, arrays, carried, end):
    """Return the spikes that reach a population through several layers, their window, and its physics as one matrix."""
    shapes = [arrays[id(source)].shape[1:] for source in synapses.sources]
    sizes = [int(np.prod(shape)) for shape in shapes]
    dtype = synapses.sources[0].dtype
    resting = float64(synapses([tf.zeros((1, *shape), dtype) for shape in shapes])).ravel()
    if sum(sizes) * resting.size > _SYNAPSES:
        raise ValueError(
            f"Expected at most {_SYNAPSES} synapses in a population whose synapses are several layers. "
            f"Received: {sum(sizes)} x {resting.size}"
        )
    rows = []
    for number, (size, shape) in enumerate(zip(sizes, shapes, strict=True)):
        for unit in np.array_split(np.eye(size), max(1, size // 256)):
            leads = [tf.zeros((len(unit), *other), dtype) for other in shapes]
            leads[number] = tf.constant(unit.reshape(-1, *shape), dtype)
            rows.append(float64(synapses(leads, constant=False)).reshape(len(unit), -1))
    laws = _Physics(np.concatenate(rows), resting, 0.0, np.ones(resting.size))
    spikes = [_delayed(arrays, carried, source, end) for source in synapses.sources]
    widths = [window.end - window.start for window in (carried[id(source)].window for source in synapses.sources)]
    flat = np.concatenate([array.reshape(len(array), -1) for array in spikes], axis=1)
    return flat, Window(end - max(widths), end), laws


def _output(tensor, populations, arrays, physics):
    """Return what the model gives at a tensor: digital values, lead times of spikes, or potentials."""
    call, carried = populations.producers[id(tensor)], populations.carried
    kind, window = carried[id(tensor)]
    operation = call.operation
    if isinstance(operation, _DIGITAL):
        return _digital(operation, _output(call.inputs[0], populations, arrays, physics))
    if kind == "spikes":
        return np.where(np.isinf(arrays[id(tensor)]), 0, window.end - arrays[id(tensor)])
    if operation.name in physics:
        return _read_out(arrays[id(call.inputs[0])], carried[id(call.inputs[0])].window, physics[operation.name])
    spikes, window, laws = _composite(populations.map_to(tensor), arrays, carried, window.end)
    return _read_out(spikes, window, laws).reshape(-1, *tensor.shape[1:])


def _physics(layer, input_shape):
    weights, offsets = layer.physical_weights(input_shape)
    weights = float64(weights)
    offsets = np.zeros(weights.shape[-1]) if offsets is None else float64(offsets)
    return _Physics(weights, offsets, layer.parameterization.initial_slope, float64(layer.slope(input_shape)))


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
    return np.where(lead > 0, window.end - lead, np.inf)


def _fire(layer, times, arriving, window, physics, armed):
    """Return the spike times of a spiking layer, and its counts of premature and saturated spikes."""
    if isinstance(layer, TTFSConv2D):
        batch, height, width, channels = times.shape
        taps, image_shape = image_taps(
            (height, width), layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding
        )
        shape, groups = (batch, *image_shape, layer.filters), layer.groups
        images = _padded(times.reshape(batch, height * width, channels), np.inf)
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


def _padded(images, time):
    """Return images `(batch, pixels, channels)` with one more pixel, that of the padding."""
    return np.pad(images, ((0, 0), (0, 1), (0, 0)), constant_values=time)


def _relayed(operation, arrays):
    """Return the spike times behind a layer that pools, moves or copies spikes."""
    if isinstance(operation, keras.layers.MaxPooling2D):
        return _first_of_pool(operation, arrays[0])
    if isinstance(operation, keras.layers.Permute):
        return arrays[0].transpose(0, *operation.dims)
    if isinstance(operation, _RESHAPES):
        return arrays[0].reshape(operation.compute_output_shape(arrays[0].shape))
    # Pools of other ranks, padding, cropping, repeating, concatenating: on -t the earliest spike is the largest value,
    # and a shift makes silence the 0 that padding adds.
    late = 1 + max((array[np.isfinite(array)].max(initial=0.0) for array in arrays), default=0.0)
    leads = [tf.constant(np.where(np.isinf(array), 0.0, late - array)) for array in arrays]
    config = operation.get_config() | {"dtype": "float64"}
    layer = type(operation).from_config(config)
    layer.build([array.shape for array in arrays] if len(arrays) > 1 else arrays[0].shape)
    layer.set_weights(operation.get_weights())  # the signs of a pool
    lead = layer(leads if len(leads) > 1 else leads[0]).numpy()
    return np.where(lead > 0, late - lead, np.inf)


def _first_of_pool(layer, times):
    """Return the earliest spike of each pool, or where the channel's sign is -1 the latest, inf if one is silent."""
    batch, height, width, channels = times.shape
    sign = float64(layer.sign) if getattr(layer, "signed", False) else 1.0
    taps, image_shape = image_taps((height, width), layer.pool_size, layer.strides, (1, 1), layer.padding)
    # Padding is not part of a pool: it comes after everything, silence of a reversed channel included.
    images = _padded((sign * times).reshape(batch, height * width, channels), np.inf)
    return (sign * images[:, taps].min(axis=2)).reshape(batch, *image_shape, channels)


def _digital(layer, values):
    values = tf.constant(values, tf.float64)
    if isinstance(layer, keras.layers.Softmax):
        return keras.activations.softmax(values, axis=layer.axis).numpy()
    return layer.activation(values).numpy()
