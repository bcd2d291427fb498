"""The event-driven simulator: independent proof of what the TTFS layers compute."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.graph import as_functional
from ttfs_keras.ttfs.conv2d import TTFSConv2D
from ttfs_keras.ttfs.dense import TTFSDense
from ttfs_keras.ttfs.encoder import TTFSEncoder
from ttfs_keras.ttfs.readout import TTFSReadout
from ttfs_keras.ttfs.schedule import checked_input, float64, signals, steps
from ttfs_keras.ttfs.simulator_membrane import fire, integrate
from ttfs_keras.ttfs.simulator_patches import image_taps, patches

# Layers that leave evaluated values as they are.
_IDENTITIES = (
    keras.layers.ActivityRegularization, keras.layers.AlphaDropout, keras.layers.Dropout,
    keras.layers.GaussianDropout, keras.layers.GaussianNoise, keras.layers.Identity, keras.layers.SpatialDropout2D,
)  # fmt: skip
_RESHAPES = (keras.layers.Flatten, keras.layers.Permute, keras.layers.Reshape)
_DIGITAL = (keras.layers.Activation, keras.layers.Softmax)
_DIGITAL_ACTIVATIONS = (keras.activations.linear, keras.activations.sigmoid, keras.activations.softmax)
# The kind of input that each type of layer takes, None for any.
_TAKES = {
    **dict.fromkeys(_IDENTITIES + _RESHAPES),
    TTFSEncoder: "values",
    TTFSDense: "spikes",
    TTFSConv2D: "spikes",
    keras.layers.MaxPooling2D: "spikes",
    TTFSReadout: "spikes",
    **dict.fromkeys(_DIGITAL, "potentials"),
}

# Membranes, and incoming spikes, at a time: these arrays stay in the processor's cache and small.
_MEMBRANES, _SPIKES = 2**15, 2**20


@dataclasses.dataclass(frozen=True)
class Simulation:
    """What an event-driven simulation saw.

    Attributes:
        outputs: `(batch, ...)` float64, what the model returns; a network that ends in spikes gives their lead times.
        spike_times: `{layer name: (batch, ..., neurons)}` float64 absolute times in window time, inf where silent, of
            the encoder, the spiking layers and the max pools.
        premature_by_layer: `{layer name: count}` neurons that reached threshold before their window, for each sample.
        saturated_by_layer: `{layer name: count}` neurons above threshold when their window opened. These are premature
            too, since the membrane is continuous. The fast path clips them and knows nothing of other premature ones.
        clipped_inputs: values outside the encoder's input range.
    """

    outputs: np.ndarray
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
        snn: Sequential or Functional model of TTFSEncoder, TTFSDense, TTFSConv2D, max pools, TTFSReadout, reshapes,
            layers that act in training only, and a softmax or sigmoid after the read-out.
        x: `(batch, ...)` inputs of the model.
        armed: whether neurons are held until their window opens. By default one that reaches threshold before fires
            right then, and later layers integrate that premature spike from its arrival on. Counted either way.

    Returns:
        A `Simulation`, times in window time.

    Raises:
        ValueError: a layer cannot be simulated (all of them are listed), a slope B is not positive, weights or windows
            are not finite, or x is not numeric, has another shape or holds NaN.
    """
    model = as_functional(snn)
    _check_layers(model)
    carried = signals(model)
    x = checked_input(model, x)
    plan = _plan(model, carried, x.shape)

    arrays = {id(model.inputs[0]): x.astype(np.float64)}
    times, premature, saturated, clipped = {}, {}, {}, 0
    for operation, source, target, physics in plan:
        array = arrays[id(source)]
        signal = carried[id(target)]
        if isinstance(operation, TTFSEncoder):
            low, high = operation.input_range
            clipped += int(((array < low) | (array > high)).sum())
            array = times[operation.name] = _perturbed(_encode(array, low, high), signal.window, operation)
        elif isinstance(operation, TTFSReadout):
            array = _read_out(array, carried[id(source)].window, physics)
        elif physics is not None:
            array, early, full = _fire(operation, array, carried[id(source)].window, signal.window, physics, armed)
            array = times[operation.name] = _perturbed(array, signal.window, operation.neuron)
            premature[operation.name], saturated[operation.name] = early, full
        elif isinstance(operation, keras.layers.MaxPooling2D):
            array = times[operation.name] = _first_of_pool(operation, array)
        elif isinstance(operation, _DIGITAL):
            array = _digital(operation, array)
        elif isinstance(operation, _RESHAPES):
            array = _reshaped(operation, array)
        arrays[id(target)] = array

    outputs, (kind, window) = arrays[id(model.outputs[0])], carried[id(model.outputs[0])]
    if kind == "spikes":
        outputs = np.where(np.isinf(outputs), 0, window.end - outputs)
    return Simulation(outputs, times, premature, saturated, clipped)


@dataclasses.dataclass(frozen=True)
class _Physics:
    """What a layer's hardware holds: W `(..., inputs, neurons)`, D, A and B, all float64 but the scalar A."""

    weights: np.ndarray
    offsets: np.ndarray
    initial_slope: float
    slope: np.ndarray


def _type_in(operation, types):
    return next((kind for kind in type(operation).__mro__ if kind in types), None)


def _check_layers(model):
    """Raise one ValueError that lists every layer that cannot be simulated."""
    refused = []
    kinds: dict[int, str | None] = {id(tensor): "values" for tensor in model.inputs}
    for operation, inputs, outputs in steps(model):
        reason = None
        kind = _type_in(operation, _TAKES)
        takes = kinds.get(id(inputs[0]))
        if kind is None:
            reason = "not a layer that it knows"
        elif takes is not None and _TAKES[kind] not in (None, takes):
            reason = f"takes {_TAKES[kind]} but is fed {takes}"
        elif isinstance(operation, keras.layers.Activation) and operation.activation not in _DIGITAL_ACTIVATIONS:
            reason = "not a softmax or sigmoid"
        elif getattr(operation, "data_format", "channels_last") != "channels_last":
            reason = "data_format is not channels_last"
        if reason is not None:
            refused.append(f"{operation.name} ({type(operation).__name__}): {reason}")
        # None behind a layer that is refused already, so that the layers after it are not blamed.
        gives = {None: None, TTFSEncoder: "spikes", TTFSReadout: "potentials"}.get(kind, takes)
        kinds |= {id(tensor): gives for tensor in outputs}
    if refused:
        raise ValueError("The simulator cannot run these layers:\n  " + "\n  ".join(refused))
    if len(model.outputs) != 1:
        raise ValueError(f"Expected a model with one output. Received: {len(model.outputs)} outputs")


def _plan(model, carried, shape):
    """Return `(operation, its input, its output, its _Physics or None)` of all; refuse what has no physics."""
    shapes = {id(model.inputs[0]): shape}
    plan, refused = [], []
    for operation, (source,), (target,) in steps(model):
        shape = shapes[id(source)]
        shapes[id(target)] = tuple(operation.compute_output_shape(shape))
        physics = None
        if isinstance(operation, TTFSDense | TTFSConv2D | TTFSReadout):
            physics = _physics(operation, shape)
            window = carried[id(target)].window
            if not all(np.isfinite(part).all() for part in (physics.weights, physics.offsets, window)):
                refused.append(f"{operation.name}: weights, offsets and window must be finite")
            elif unphysical := int((physics.slope <= 0).sum()):
                refused.append(f"{operation.name}: slope B <= 0 for {unphysical} of {physics.slope.size} neurons")
            elif window.start >= window.end:
                refused.append(f"{operation.name}: window of no width, {tuple(window)}")
        plan.append((operation, source, target, physics))
    if refused:
        raise ValueError("These layers have no physical counterpart:\n  " + "\n  ".join(refused))
    return plan


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
        taps, shape, groups = np.zeros((1, 1), int), (*times.shape[:-1], layer.units), 1
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


def _reshaped(layer, array):
    if isinstance(layer, keras.layers.Permute):
        return array.transpose(0, *layer.dims)
    return array.reshape(layer.compute_output_shape(array.shape))
