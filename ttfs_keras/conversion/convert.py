"""From a trained ReLU model to the exact TTFS network."""

import keras
import numpy as np

from ttfs_keras.conversion import rules  # noqa: F401 - registers them
from ttfs_keras.conversion.calibrate import batches, set_windows
from ttfs_keras.conversion.network import Network
from ttfs_keras.conversion.registry import Refusal, rule_of
from ttfs_keras.conversion.values import Digital, Emitted
from ttfs_keras.conversion.verify import verify
from ttfs_keras.errors import ConversionError
from ttfs_keras.network.graph import Names, as_functional, calls, is_model
from ttfs_keras.ttfs.encoder import TTFSEncoder
from ttfs_keras.ttfs.windows import FixedWindow, GrowToMaximum, TrackQuantile

WINDOWS = ("layer", "shared", "unit")


def convert(
    model,
    calibration_data,
    input_range=(0.0, 1.0),
    margin=0.5,
    quantile=None,
    *,
    windows="layer",
    data_free=False,
    perturbation=None,
    verification=True,
):
    """Map a ReLU model exactly onto a TTFS network, an ordinary Keras model.

    validate -> walk the calls, folding scales and offsets into weights -> calibrate the windows on the data -> emit ->
    verify. Source of the folds: Stanojevic et al., arXiv 2212.12522; of general graphs: this package,
    `docs/converting.md`.

    Args:
        model: built Sequential or Functional model; it is not changed.
        calibration_data: array `(samples, ...)` of its inputs, a list of arrays for several inputs, or a
            `tf.data.Dataset` of batches; for the windows and the verification.
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
            calibration data, or in which layer the network is not exact.
    """
    graph = _validated(model, input_range, margin, quantile, windows, data_free)
    data = list(batches(graph, calibration_data))

    network = Network(GrowToMaximum())
    plain = _emit(graph, model.name, input_range, network)
    widths = set_windows(plain, network.neurons, data, margin, quantile, data_free)
    if windows == "shared" and widths:
        clipped = {population.layer.name for population in network.neurons if population.clip is not None}
        largest = max(widths.values())
        widths = {name: width if name in clipped else largest for name, width in widths.items()}
    units = widths if windows == "unit" else {}
    network = Network(_rule(margin, quantile, data_free), perturbation, units, widths)
    snn = _emit(graph, model.name, input_range, network)
    if verification and quantile is None and margin >= 0 and not perturbation:
        _check(snn, model, data)
    return snn


def _validated(model, input_range, margin, quantile, windows, data_free):
    """Return the model as a Functional one, or raise all that is wrong with it and with the arguments."""
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
    return as_functional(model)


def _rule(margin, quantile, data_free):
    """Return how windows move while the network is fine-tuned: as they were calibrated, if that can be."""
    if quantile is not None and not data_free:
        return TrackQuantile(quantile, margin)
    return GrowToMaximum(margin) if margin >= 0 else FixedWindow()


def _emit(graph, name, input_range, network):
    """Return the spiking model that a network makes of a graph."""
    inputs, values = [], []
    low, high = input_range
    for source in graph.inputs:
        symbol = keras.Input(batch_shape=source.shape, dtype=source.dtype, name=source.name)
        encoder_name = "encoder" if len(graph.inputs) == 1 else f"encoder_{source.name}"
        dtype = source.dtype if "float" in source.dtype else None
        encoder = TTFSEncoder(input_range, network.perturbation, name=network.unique(encoder_name), dtype=dtype)
        scale, offset = np.full(1, float(high - low)), np.full(1, float(low))
        inputs.append(symbol)
        values.append(Emitted(source.shape, scale, offset, encoder(symbol), spikes=True))
    refused: list[str] = []
    results = _walk(graph, values, network, "", Names(), refused)
    if refused:
        raise ConversionError("Cannot be mapped onto a TTFS network exactly:\n  " + "\n  ".join(refused))
    outputs = [network.read_out(value).tensor for value in results]
    ends = [ends[0] if len(ends) == 1 else ends for ends in (inputs, outputs)]
    return keras.Model(*ends, name=f"{name}_ttfs")


def _walk(graph, values, network, prefix, names, refused):
    """Map the calls in topological order, nested models too, and return the values of the outputs."""
    found = {id(symbol): value for symbol, value in zip(graph.inputs, values, strict=True)}
    heads: dict[int, str] = {}
    for call in calls(graph):
        operation = call.operation
        network.name = name = names(operation, prefix)
        network.shape = call.outputs[0].shape
        received = [found[id(symbol)] for symbol in call.inputs]
        try:
            if is_model(operation):
                produced = _walk(as_functional(operation), received, network, f"{name}_", names, refused)
            elif (rule := rule_of(operation)) is None:
                raise Refusal("no exact TTFS counterpart is known", "replace it or register a converter")
            else:
                produced = [rule(operation, received, network)]
                if isinstance(produced[0], Digital):
                    gate = Refusal("its softmax or sigmoid does not end the model", "train the model with ReLU")
                    heads[id(call.outputs[0])] = _line(name, operation, gate)
        except Refusal as refusal:
            # A softmax or sigmoid is well at the end only, which shows here.
            gates = [heads.pop(id(symbol)) for symbol in call.inputs if id(symbol) in heads]
            refused += [*gates, _line(name, operation, refusal)]
            # Something in its place, so that what follows is checked too.
            produced = [Emitted(s.shape, tensor=keras.Input(batch_shape=s.shape)) for s in call.outputs]
        found |= {id(symbol): value for symbol, value in zip(call.outputs, produced, strict=True)}
    return [found[id(symbol)] for symbol in graph.outputs]


def _line(name, operation, refusal):
    return f"{name} ({type(operation).__name__}): {refusal.reason}; remedy: {refusal.remedy}"


def _check(snn, model, data):
    """Raise if the network is not exact on a batch of the calibration data."""
    x = [batch[:32] for batch in data[0]]
    # Looser than the certificate: rounding of deep float32 networks passes 1e-4, a wrong fold is far beyond this.
    report = verify(snn, model, x, tolerance=1e-3)
    if not report.passed:
        raise ConversionError(f"The network is not exact on the calibration data:\n{report}")
