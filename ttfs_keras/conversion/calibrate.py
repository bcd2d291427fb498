"""Calibration data, and window widths from the activations they cause."""

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.errors import ConversionError
from ttfs_keras.network.graph import compiled
from ttfs_keras.ttfs.premature import bounds, overshoots
from ttfs_keras.ttfs.spiking import spike_outputs
from ttfs_keras.ttfs.windows import positive_quantile

BATCH = 128
# Samples whose potentials are followed before the windows open; and samples times neurons, to bound the time.
SCANNED, FOLLOWED = 1024, 2**26


def batches(model, data):
    """Yield lists of input batches, one array for each input of the model.

    Args:
        model: source model.
        data: array, list of arrays (several inputs), or a `tf.data.Dataset` of batches of inputs (or of tuples led by
            them).

    Raises:
        ConversionError: the data are empty, of another shape than the model's inputs, or not finite.
    """
    if isinstance(data, tf.data.Dataset):
        empty = True
        for item in data:
            empty = False
            yield _checked(model, item[0] if isinstance(item, tuple) else item)
        if empty:
            raise ConversionError("calibration_data: expected at least one sample. Received: none")
        return
    arrays = _checked(model, data)
    for at in range(0, len(arrays[0]), BATCH):
        yield [array[at : at + BATCH] for array in arrays]


def _checked(model, data):
    """Return inputs as arrays of the model's types, or raise what is wrong with them."""
    arrays = [np.asarray(array) for array in (data if isinstance(data, list | tuple) else [data])]
    problems = []
    if len(arrays) != len(model.inputs):
        problems.append(f"expected {len(model.inputs)} inputs. Received: {len(arrays)}")
    for array, symbol in zip(arrays, model.inputs, strict=False):
        expected = symbol.shape
        if array.dtype.kind not in "biuf":
            problems.append(f"expected numbers. Received: dtype={array.dtype}")
        elif array.ndim != len(expected) or any(
            size not in (None, given) for size, given in zip(expected, array.shape, strict=True)
        ):
            problems.append(f"shape: expected {expected}. Received: {array.shape}")
        elif not len(array):
            problems.append("expected at least one sample. Received: none")
        elif not np.isfinite(array).all():
            problems.append(f"expected finite values. Received: {np.sum(~np.isfinite(array))} that are not")
    if len({len(array) for array in arrays if array.ndim}) > 1:
        problems.append(f"expected inputs of one length. Received: {[len(array) for array in arrays]}")
    if problems:
        raise ConversionError("calibration_data: " + "; ".join(problems))
    return [array.astype(symbol.dtype, copy=False) for array, symbol in zip(arrays, model.inputs, strict=True)]


def set_windows(snn, neurons, data, margin, quantile, data_free):
    """Return `{layer name: width}` of a network whose windows are still open wide.

    The width is (1 + margin) X_n, X_n the largest activation on the data (or the mean batch's quantile). Where a
    potential overshoots that width before its window opens, the width is the overshoot: no spike of the first 1,024
    samples (fewer for networks of more than 65,536 neurons) is premature. A layer that clips (ReLU6) has the width of
    its clip, or less by quantile or margin.

    Args:
        snn: network with unbounded windows.
        neurons: its list of `Neurons`.
        data: list of lists of input batches.
        margin: zeta.
        quantile: in (0, 1], or None for the maximum.
        data_free: from the positive weights alone.
    """
    clips = {population.layer.name: population.clip for population in neurons}
    if data_free:
        widths = bounds(snn, clips)
    else:
        measured = _widths(snn, data, margin, quantile)
        exact = quantile is None and margin >= 0
        widths = {name: (clip if exact else min(clip, measured[name])) if clip else measured[name]
                  for name, clip in clips.items()}  # fmt: skip
        if exact:
            free = [name for name, clip in clips.items() if clip is None]
            for batch in _first(data, snn):
                for name, overshoot in overshoots(snn, batch, {name: widths[name] for name in free}).items():
                    widths[name] = max(widths[name], overshoot)
    # A layer that never fires has no scale of its own; any window will do.
    return {name: width if width > 0 else 1.0 for name, width in widths.items()}


def _first(data, snn):
    """Yield the batches, or parts of them, whose potentials are followed."""
    neurons = sum(np.prod([size or 1 for size in tensor.shape[1:]]) for tensor in spike_outputs(snn).values())
    left = int(np.clip(FOLLOWED // neurons, 1, SCANNED))
    for batch in data:
        if left <= 0:
            return
        yield [array[:left] for array in batch]
        left -= len(batch[0])


def _widths(snn, data, margin, quantile):
    def measure(activation):
        return tf.reduce_max(activation) if quantile is None else positive_quantile(activation, quantile)

    names, outputs = zip(*((layer.name, tensor) for layer, tensor in spike_outputs(snn).items()), strict=True)
    evaluate = compiled(keras.Model(snn.inputs, list(outputs)))
    measured = np.array([[float(measure(lead)) for lead in evaluate(*batch)] for batch in data])
    sizes = np.maximum(measured.max(0) if quantile is None else measured.mean(0), 0)
    return dict(zip(names, (1 + margin) * sizes, strict=True))
