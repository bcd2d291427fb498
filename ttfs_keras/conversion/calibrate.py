"""Window widths from the activations of the source model on calibration data."""

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.errors import ConversionError
from ttfs_keras.ttfs.windows import positive_quantile

BATCH = 128


def batches(model, data):
    """Return a `tf.data.Dataset` of input batches from an array or a data set of inputs (or of tuples led by them).

    Raises:
        ConversionError: the data are empty, of another shape than the model's input, or not finite. A data set is
            checked while it is read, by `activation_sizes`.
    """
    if isinstance(data, tf.data.Dataset):
        return data.map(lambda *items: items[0])
    data = np.asarray(data)
    _check(data, model.inputs[0].shape)
    return tf.data.Dataset.from_tensor_slices(data).batch(BATCH)


def _check(data, expected):
    problems = []
    if data.ndim != len(expected) or any(e not in (None, d) for e, d in zip(expected, data.shape, strict=True)):
        problems.append(f"shape: expected {expected}. Received: {data.shape}")
    elif not len(data):
        problems.append("expected at least one sample. Received: none")
    if not np.issubdtype(data.dtype, np.number):
        problems.append(f"expected numbers. Received: {data.dtype}")
    elif not np.isfinite(data).all():
        problems.append(f"expected finite values. Received: {np.sum(~np.isfinite(data))} that are not")
    if problems:
        raise ConversionError("calibration_data: " + "; ".join(problems))


def activation_sizes(model, tensors, data, quantile=None):
    """Return X_n of each tensor of the source: the largest activation over the data, or the mean batch's quantile.

    Args:
        model: source model.
        tensors: its symbolic activations.
        data: from `batches`.
        quantile: in (0, 1], or None for the maximum.

    Returns:
        `(len(tensors),)` float64, in window time.

    Raises:
        ConversionError: as for `batches`.
    """
    if not tensors:
        return np.zeros(0)
    probe = keras.Model(model.inputs, tensors)

    def measure(activation):
        return tf.reduce_max(activation) if quantile is None else positive_quantile(activation, quantile)

    measured = []
    for batch in data:
        _check(np.asarray(batch), model.inputs[0].shape)
        activations = keras.tree.flatten(probe([tf.cast(batch, model.inputs[0].dtype)]))
        measured.append([float(measure(activation)) for activation in activations])
    if not measured:
        raise ConversionError("calibration_data: expected at least one sample. Received: none")
    sizes = np.array(measured)
    return sizes.max(0) if quantile is None else sizes.mean(0)
