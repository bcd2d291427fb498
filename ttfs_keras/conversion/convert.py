"""From a trained ReLU model to the exact TTFS network."""

import collections

import keras
import numpy as np

from ttfs_keras.conversion import batch_norm, linear, pooling, relu, shape  # noqa: F401 - they register their rules
from ttfs_keras.conversion.calibrate import activation_sizes, batches
from ttfs_keras.conversion.network import Network
from ttfs_keras.conversion.registry import Refusal, rule_of
from ttfs_keras.conversion.values import Potential, Spikes
from ttfs_keras.errors import ConversionError
from ttfs_keras.graph import as_functional, calls
from ttfs_keras.ttfs.encoder import TTFSEncoder
from ttfs_keras.ttfs.windows import FixedWindow, GrowToMaximum, TrackQuantile


def convert(model, calibration_data, input_range=(0.0, 1.0), margin=0.5, quantile=None, perturbation=None):
    """Map a ReLU model exactly onto a TTFS network.

    validate -> walk the operations, folding batch norms and input range -> set the windows to (1 + margin) X_n. So far
    for chains of Dense, Conv2D, ReLU, BatchNormalization, MaxPooling2D, Flatten and Dropout with a Dense read-out.
    Source of the folds: Stanojevic et al., arXiv 2212.12522; border biases are maps, see `TTFSConv2D`.

    Args:
        model: built Sequential or Functional model; it is not changed.
        calibration_data: array `(samples, ...)` or `tf.data.Dataset` of its inputs, for the windows.
        input_range: (p, q), the range of the inputs.
        margin: zeta, the room above X_n in a window; negative ones saturate.
        quantile: in (0, 1]: X_n is this quantile of the positive activations instead of their maximum.
        perturbation: of every layer; see `TTFSDense`.

    Returns:
        `keras.Model` with the source's input and output; layers keep the names of the source's synapses.

    Raises:
        ConversionError: lists every operation that cannot be mapped, or what is wrong with weights or calibration data.
    """
    if not isinstance(model, keras.Model) or not model.built or not getattr(model, "inputs", None):
        raise ConversionError(f"model: expected a built Sequential or Functional keras.Model. Received: {model!r}")
    if not (margin > -1 and (quantile is None or 0 < quantile <= 1)):
        raise ConversionError(f"Expected margin > -1, quantile None or in (0, 1]. Received: {margin=}, {quantile=}")
    broken = [v.path for v in model.variables if not np.isfinite(np.asarray(v)).all()]
    if broken:
        raise ConversionError(f"model: expected finite weights. Received: NaN or infinity in {', '.join(broken)}")
    data = batches(model, calibration_data)

    graph = as_functional(model)
    network = Network(window_rule=_rule(margin, quantile), perturbation=perturbation)
    inputs, outputs = _walk(graph, network, input_range)

    sizes = activation_sizes(graph, [source for _, source in network.neurons], data, quantile)
    for (layer, _), size in zip(network.neurons, sizes, strict=True):
        # A layer that never fires has no scale of its own; any window will do.
        layer.window.assign((1 + margin) * size if size > 0 else 1.0)
    return keras.Model(inputs, outputs, name=f"{model.name}_ttfs")


def _rule(margin, quantile):
    """Return how windows move while the network is fine-tuned: as they were calibrated, if that can be."""
    if quantile is not None:
        return TrackQuantile(quantile, margin)
    return GrowToMaximum(margin) if margin >= 0 else FixedWindow()


def _walk(model, network, input_range):
    """Map the operations in topological order and return the symbolic input and output."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ConversionError(
            f"model: expected one input and one output. Received: {len(model.inputs)} and {len(model.outputs)}"
        )
    source = model.inputs[0]
    inputs = keras.Input(batch_shape=source.shape, dtype=source.dtype, name=source.name)
    low, high = input_range
    taken = {operation.name for operation in model.operations}
    lead = TTFSEncoder(
        input_range, network.options["perturbation"], name="encoder" if "encoder" not in taken else "ttfs_encoder",
        dtype=source.dtype,
    )(inputs)  # fmt: skip
    channels = lead.shape[-1]
    # One value for each tensor; behind a refused operation, all that it might have been.
    values = {id(source): (Spikes(lead, np.full(channels, high - low), np.full(channels, low)),)}
    refused = []

    def refuse(operation, refusal, received=(), produced=()):
        kind = type(operation).__name__
        refused.append(f"{operation.name} ({kind}): {refusal.reason}; remedy: {refusal.remedy}")
        known = [value for tensor in received for value in values[id(tensor)]]
        for output in produced:
            values[id(output)] = (_silent(output), *(value for value in known if isinstance(value, Potential)))

    found = calls(model)
    times = collections.Counter(call.operation for call in found)
    for operation, received, produced in found:
        rule = rule_of(operation)
        try:
            if rule is None:
                raise Refusal("no exact TTFS counterpart is known", "replace it or register a converter")
            if times[operation] > 1:
                raise Refusal("the model calls it more than once", "use a layer of its own for each call")
            if len(received) != 1:
                raise Refusal("it joins several inputs", "convert a chain of layers")
            (network.output,) = produced
            values[id(network.output)] = (_map(rule, operation, values[id(received[0])], network),)
        except Refusal as refusal:
            refuse(operation, refusal, received, produced)
    result = values[id(model.outputs[0])][0]
    if isinstance(result, Potential) and not refused:
        try:
            result = network.read_out(result)
        except Refusal as refusal:
            refuse(result.layer, refusal)
    elif isinstance(result, Spikes) and not refused:
        raise ConversionError("model: expected logits as output. Received: the output of a ReLU")
    if refused:
        raise ConversionError("Cannot be mapped onto a TTFS network exactly:\n  " + "\n  ".join(refused))
    return inputs, result.tensor


def _map(rule, operation, candidates, network):
    """Return what the rule makes of the first candidate that it takes, or raise what it says to the first one."""
    refusals = []
    for value in candidates:
        try:
            return rule(operation, value, network)
        except Refusal as refusal:
            refusals.append(refusal)
    raise refusals[0]


def _silent(tensor):
    """Return spikes in the place of a tensor that could not be mapped, so that what follows is checked too."""
    channels = tensor.shape[-1] if len(tensor.shape) > 1 else 1
    return Spikes(keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype), np.ones(channels), np.zeros(channels))
