"""From a trained ReLU model to the exact TTFS network."""

import collections
from typing import Any

import keras
import numpy as np

from ttfs_keras.conversion import rules  # noqa: F401 - registers them
from ttfs_keras.conversion.calibrate import set_windows
from ttfs_keras.conversion.channels import channels_first, with_channels_last
from ttfs_keras.conversion.front import Front, has_weights
from ttfs_keras.conversion.network import Network
from ttfs_keras.conversion.registry import NO_RULE, Refusal, rule_of
from ttfs_keras.conversion.values import Digital, placeholders
from ttfs_keras.conversion.verify import compare
from ttfs_keras.errors import ConversionError
from ttfs_keras.network.graph import Graph
from ttfs_keras.network.inputs import Inputs
from ttfs_keras.ttfs.schedule import schedule
from ttfs_keras.ttfs.synaptic_map import Populations
from ttfs_keras.ttfs.windows import FixedWindow, GrowToMaximum, TrackQuantile

BATCH = 128  # samples at a time in calibration
TIMES = 2**16  # float64 numbers that a window holds at least, so that its spikes can be told apart
CHECKED = 32  # samples on which the result is compared with its source
NAMES, REASONS = 8, 12  # at most, of an error
WINDOWS = ("layer", "shared", "unit")


def convert(
    model: keras.Model,
    calibration_data: Any,
    input_range: tuple[float, float] = (0.0, 1.0),
    margin: float = 0.5,
    quantile: float | None = None,
    *,
    windows: str = "layer",
    data_free: bool = False,
    perturbation: Any = None,
    verification: bool = True,
) -> keras.Model:
    """Map a ReLU model exactly onto a TTFS network, an ordinary Keras model.

    validate -> walk the calls, folding scales and offsets into weights -> calibrate the windows on the data -> emit ->
    verify. Source of the folds: Stanojevic et al., arXiv 2212.12522; of general graphs: this package,
    `docs/converting.md`.

    Args:
        model: built Sequential or Functional model; it is not changed.
        calibration_data: array `(samples, ...)` of its inputs; a list of arrays, or a dict by name, for several inputs;
            or a `tf.data.Dataset` of batches, which is passed over several times. For the windows and the verification.
            A warning names layers that it makes no spike in, whose windows nothing is known of.
        input_range: (p, q), the range of the inputs.
        margin: zeta, the room above X_n in a window, t_max - t_min = (1 + zeta) X_n; negative ones saturate.
        quantile: in (0, 1]: X_n is this quantile of the positive activations instead of their maximum.
        windows: "layer": a width for each layer; "shared": the largest for all that do not clip; "unit": lead
            times in units of the width, so that every window is 1 wide, by positive homogeneity of ReLU.
        data_free: widths that no input within the range can overflow, from the positive weights alone. They grow with
            every layer; margin and quantile do not apply.
        perturbation: of every TTFS layer; see `TTFSDense`. Plain linear layers in front of a `TTFSNeuron` keep exact
            weights.
        verification: whether to verify on calibration data and to refuse a network that is not exact. Left out where
            quantile, a negative margin or perturbation make it inexact on purpose.

    Returns:
        `keras.Model` with the source's inputs and outputs. Spiking layers have the names of the source's layers with
        the same activations; pairs of spikes that carry signed values end in `_positive` and `_negative`.

    Raises:
        ConversionError: lists every operation that cannot be mapped, or what is wrong with weights, arguments or
            calibration data, or the windows that hold fewer than 2**16 float64 times where they stand on the time axis
            (none with windows="unit"), or in which layer the network is not exact.

    Example:
        >>> relu = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).uniform(size=(20, 4))
        >>> snn = tk.convert(relu, x)
        >>> tk.verify(snn, relu, x).passed
        True
    """
    graph = _validated(model, input_range, margin, quantile, windows, data_free)
    data = Inputs(model, calibration_data, BATCH, "calibration_data", ConversionError)

    front = Front(graph, input_range, data)
    rule = _rule(margin, quantile, data_free)
    network = Network(rule)
    snn = _emit(graph, front, network)
    populations = Populations(snn)
    # Neurons that a digital part came to stand for are not in the network.
    clips = {layer.name: clip for layer, clip in network.neurons if layer.name in populations.maps}
    widths = set_windows(populations, clips, data, margin, quantile, data_free)
    if windows == "shared" and widths:
        largest = max(widths.values())
        widths = {name: largest if clips[name] is None else width for name, width in widths.items()}
    if windows == "unit" or perturbation:  # other weights, or state that only a layer under construction can take up
        network = Network(rule, perturbation, widths if windows == "unit" else {}, widths)
        snn = _emit(graph, front, network)
    else:
        network.close(widths)
    if windows != "unit":
        _check_windows(snn, widths)
    if verification and quantile is None and margin >= 0 and not perturbation:
        _check(snn, model, data.first(CHECKED))
    return snn


def _validated(model, input_range, margin, quantile, windows, data_free):
    """Return the graph of the model, or raise all that is wrong with it and with the arguments."""
    if not isinstance(model, keras.Model) or not model.built or not getattr(model, "inputs", None):
        raise ConversionError(f"model: expected a built Sequential or Functional keras.Model. Received: {model!r}")
    problems = []
    low, high = input_range
    if not (low < high and np.isfinite([low, high]).all()):
        problems.append(f"input_range: expected (p, q) with p < q. Received: {input_range}")
    if not (margin > -1 and np.isfinite(margin)):
        problems.append(f"margin: expected a number > -1. Received: {margin}")
    if quantile is not None and not 0 < quantile <= 1:
        problems.append(f"quantile: expected None or a number in (0, 1]. Received: {quantile}")
    if windows not in WINDOWS:
        problems.append(f"windows: expected one of {WINDOWS}. Received: {windows!r}")
    if data_free and any(None in symbol.shape[1:] for symbol in model.inputs):
        shapes = ", ".join(str(symbol.shape) for symbol in model.inputs)
        problems.append(f"data_free: expected inputs of fixed shape. Received: {shapes}")
    if broken := [v.path for v in model.variables if not np.isfinite(np.asarray(v)).all()]:
        problems.append(f"model: expected finite weights. Received: NaN or infinity in {', '.join(broken)}")
    if problems:
        raise ConversionError("; ".join(problems))
    return Graph(model)


def _rule(margin, quantile, data_free):
    """Return how windows move while the network is fine-tuned: as they were calibrated, if that can be."""
    if quantile is not None and not data_free:
        return TrackQuantile(quantile, margin)
    return GrowToMaximum(margin) if margin >= 0 else FixedWindow()


def _emit(graph, front, network):
    """Return the spiking model that a network makes of a graph."""
    values = front.encoded(network)
    refused: dict[str, None] = {}  # in order, each once
    for call in graph.calls:
        try:
            found = _mapped(call, values, network, refused, call in front.calls)
        except Refusal as refusal:
            if call in front.calls:
                continue  # it stays digital, and is encoded if it is needed
            found = _digital(call, values, network, refusal, refused)
        values |= zip(call.outputs, found, strict=True)
    if refused:
        raise ConversionError(_listed(refused))
    inputs = values.inputs
    outputs = [network.read_out(values[symbol]).tensor for symbol in graph.outputs]
    ends = [ends[0] if len(ends) == 1 else ends for ends in (inputs, outputs)]
    return keras.Model(*ends, name=f"{graph.model.name}_ttfs")


def _digital(call, values, network, refusal, refused):
    """Return what a refused call gives as a step behind the read-out, or add it to `refused`."""
    try:
        if not has_weights(call.operation):
            return network.digital(call, [values[symbol] for symbol in call.inputs], [refusal.line(call)])
    except Refusal as other:
        refusal = other
    refused[refusal.line(call)] = None
    return placeholders(call.outputs)


def _listed(refused):
    """Return the message of lines `name (Type): reason`, those with the same reason together."""
    named = collections.defaultdict(list)
    for line in refused:
        name, reason = line.split(": ", 1)
        named[reason].append(name)
    lines = [f"Cannot be mapped onto a TTFS network exactly ({len(refused)} operations):"]
    for reason, names in list(named.items())[:REASONS]:
        more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
        lines.append(f"{', '.join(names[:NAMES])}{more}: {reason}")
    if len(named) > REASONS:
        lines.append(f"and {len(named) - REASONS} more reasons")
    return "\n  ".join(lines)


def _mapped(call, values, network, refused, in_front):
    """Return the mapped outputs of a call; raise a `Refusal` where it has no exact counterpart in spikes."""
    rule = rule_of(call.operation)
    if rule is None and in_front:
        raise NO_RULE
    received = [values[symbol] for symbol in call.inputs]
    behind = [value for value in received if isinstance(value, Digital)]
    if not behind:
        return _applied(rule, call, received, network, in_front)
    if has_weights(call.operation):  # spikes are needed behind what is not piecewise linear
        refused |= dict.fromkeys(cause for value in behind for cause in value.causes)
        return _applied(rule, call, placeholders(call.inputs), network, in_front)
    causes = []
    try:  # whether it would have been refused itself, on a network that is thrown away
        _applied(rule, call, placeholders(call.inputs), Network(network.window_rule), True)
    except Refusal as refusal:
        causes.append(refusal.line(call))
    return network.digital(call, received, causes)


def _applied(rule, call, received, network, spiking):
    if rule is None:
        raise NO_RULE
    if channels_first(call.operation):
        found = with_channels_last(rule, call, received, network)
    else:
        found = rule(call, received, network)
    found = found if isinstance(found, list) else [found]
    if spiking and any(isinstance(value, Digital) for value in found):
        raise NO_RULE
    return found


def _check_windows(snn, widths):
    """Raise a ConversionError that lists all windows whose times are too few to tell spikes apart."""
    ends = {name: window.end for name, window in schedule(snn).items()}
    narrow = [
        f"{name}: {width:.3g} wide, up to {ends[name]:.6g}: {width / np.spacing(ends[name]):.3g} times"
        for name, width in widths.items()
        if width < TIMES * np.spacing(ends[name])
    ]
    if narrow:
        raise ConversionError(
            f"Expected windows that hold at least {TIMES} float64 times where they stand on the time axis. "
            "Received:\n  " + "\n  ".join(narrow) + "\nUse windows='unit'"
        )


def _check(snn, model, x):
    """Raise if the network is not exact on some of the calibration data, on which no spike is premature."""
    # Looser than the certificate: rounding of deep float32 networks passes 1e-4, a wrong fold is far beyond this.
    report = compare(snn, model, x, tolerance=1e-3, premature=False)
    if not report.passed:
        raise ConversionError(f"The network is not exact on the calibration data:\n{report}")
