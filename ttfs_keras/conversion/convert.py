"""From a trained ReLU model to the exact TTFS network."""

from typing import Any

import keras
import numpy as np

from ttfs_keras.conversion import rules  # noqa: F401 - registers them
from ttfs_keras.conversion.calibrate import set_windows
from ttfs_keras.conversion.network import Network
from ttfs_keras.conversion.registry import Refusal, rule_of
from ttfs_keras.conversion.values import Digital, Emitted
from ttfs_keras.conversion.verify import compare
from ttfs_keras.errors import ConversionError
from ttfs_keras.network.graph import Graph, Symbol
from ttfs_keras.network.inputs import Inputs
from ttfs_keras.ttfs.encoder import TTFSEncoder
from ttfs_keras.ttfs.schedule import schedule
from ttfs_keras.ttfs.synaptic_map import Populations
from ttfs_keras.ttfs.windows import FixedWindow, GrowToMaximum, TrackQuantile

BATCH = 128  # samples at a time in calibration
TIMES = 2**16  # float64 numbers that a window holds at least, so that its spikes can be told apart
CHECKED = 32  # samples on which the result is compared with its source
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

    rule = _rule(margin, quantile, data_free)
    network = Network(rule)
    snn = _emit(graph, input_range, network)
    populations = Populations(snn)
    clips = {layer.name: clip for layer, clip in network.neurons}
    widths = set_windows(populations, clips, data, margin, quantile, data_free)
    if windows == "shared" and widths:
        largest = max(widths.values())
        widths = {name: largest if clips[name] is None else width for name, width in widths.items()}
    if windows == "unit" or perturbation:  # other weights, or state that only a layer under construction can take up
        network = Network(rule, perturbation, widths if windows == "unit" else {}, widths)
        snn = _emit(graph, input_range, network)
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


def _emit(graph, input_range, network):
    """Return the spiking model that a network makes of a graph."""
    inputs, values = [], {}
    low, high = input_range
    dtypes = [source.dtype for source in graph.model.inputs]
    dtypes += [getattr(call.operation, "compute_dtype", None) for call in graph.calls]
    # The range is taken off before Keras rounds values to what a layer computes in.
    dtype = keras.backend.result_type(*(dtype for dtype in dtypes if dtype is not None and "float" in dtype))
    for symbol, source in zip(graph.inputs, graph.model.inputs, strict=True):
        inputs.append(keras.Input(batch_shape=source.shape, dtype=source.dtype, name=source.name))
        encoder_name = "encoder" if len(graph.inputs) == 1 else f"encoder_{source.name}"
        encoder = TTFSEncoder(
            input_range, perturbation=network.perturbation, name=network.unique(encoder_name), dtype=dtype
        )
        scale, offset = np.full(1, float(high - low)), np.full(1, float(low))
        values[symbol] = Emitted(source.shape, scale, offset, encoder(inputs[-1]), spikes=True)
    _map(graph, values, network)
    outputs = [network.read_out(values[symbol]).tensor for symbol in graph.outputs]
    ends = [ends[0] if len(ends) == 1 else ends for ends in (inputs, outputs)]
    return keras.Model(*ends, name=f"{graph.model.name}_ttfs")


def _map(graph, values, network):
    """Map the calls in topological order, adding to `values`; raise a ConversionError that lists all refusals."""
    refused: list[str] = []
    heads: dict[Symbol, str] = {}
    for call in graph.calls:
        try:
            if (rule := rule_of(call.operation)) is None:
                raise Refusal("no exact TTFS counterpart is known", "replace it or register a converter")
            value = rule(call, [values[symbol] for symbol in call.inputs], network)
            values[call.outputs[0]] = value
            if isinstance(value, Digital):
                gate = Refusal("its softmax or sigmoid does not end the model", "train the model with ReLU")
                heads[call.outputs[0]] = _line(call, gate)
        except Refusal as refusal:
            # A softmax or sigmoid is well at the end only, which shows here.
            refused += [heads.pop(symbol) for symbol in call.inputs if symbol in heads]
            refused.append(_line(call, refusal))
            # Something in its place, so that what follows is checked too.
            for symbol in call.outputs:
                values[symbol] = Emitted(symbol.shape, tensor=keras.Input(batch_shape=symbol.shape))
    if refused:
        raise ConversionError("Cannot be mapped onto a TTFS network exactly:\n  " + "\n  ".join(refused))


def _line(call, refusal):
    return f"{call.name} ({type(call.operation).__name__}): {refusal.reason}; remedy: {refusal.remedy}"


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
