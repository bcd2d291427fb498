"""The chain of windows: absolute times of a TTFS network, recovered from the widths that its layers hold."""

import collections
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.network.graph import as_functional, calls
from ttfs_keras.ttfs.encoder import TTFSEncoder
from ttfs_keras.ttfs.neuron import TTFSNeuron
from ttfs_keras.ttfs.pooling import OF_KERAS
from ttfs_keras.ttfs.synapses import SpikingSynapses

SPIKING = (SpikingSynapses, TTFSNeuron)
POOLS = tuple(OF_KERAS)
# Layers that copy or delay spikes one to one; any other layer sums them.
RELAYS = (
    keras.layers.ActivityRegularization, keras.layers.AlphaDropout, keras.layers.Concatenate,
    keras.layers.Cropping1D, keras.layers.Cropping2D, keras.layers.Cropping3D, keras.layers.Dropout,
    keras.layers.Flatten, keras.layers.GaussianDropout, keras.layers.GaussianNoise, keras.layers.Identity,
    keras.layers.Permute, keras.layers.Reshape, keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D, keras.layers.UpSampling1D, keras.layers.UpSampling2D, keras.layers.UpSampling3D,
    keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D, keras.layers.ZeroPadding3D,
)  # fmt: skip


NO_SPIKES = "Expected a TTFS network, with a TTFSEncoder before its layers. Received: a model without one"


class Window(NamedTuple):
    """Absolute times in window time (tau = 1): `start` is t_min, `end` is t_max."""

    start: float
    end: float


class Signal(NamedTuple):
    """What a tensor of the network carries.

    Attributes:
        kind: "values" (before the encoder), "spikes" or "potentials".
        window: the `Window` in which its spikes fall, or those that its potentials sum; None for values.
    """

    kind: str
    window: Window | None


def float64(tensor):
    """Return a tensor or variable as a float64 array."""
    return tf.convert_to_tensor(tensor).numpy().astype(np.float64)


def steps(model):
    """Return the `Call`s of a Functional model.

    Raises:
        ValueError: an operation is a model itself or is used twice.
    """
    found = calls(model)
    names = collections.Counter(call.operation.name for call in found)
    if shared := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"Expected layers that are used once. Received: {', '.join(shared)} used more often")
    if models := [call.operation.name for call in found if isinstance(call.operation, keras.Model)]:
        raise ValueError(f"Expected layers. Received: models as layers, {', '.join(models)}")
    return found


def signals(model):
    """Return `{id(tensor): Signal}` for every tensor of a Functional model, in the order of computation.

    Where branches meet, the spikes of the earlier window are delayed until both windows end together; the common window
    starts with the wider one.

    Raises:
        ValueError: as for `steps`, or a layer fires without an encoder before it.
    """
    found = {id(tensor): Signal("values", None) for tensor in model.inputs}
    for operation, inputs, outputs, _ in steps(model):
        kinds = [found[id(tensor)].kind for tensor in inputs]
        arriving = [window for tensor in inputs if (window := found[id(tensor)].window) is not None]
        kind, window = kinds[0], _join(arriving)
        if isinstance(operation, TTFSEncoder):
            kind, window = "spikes", Window(0.0, float(operation.window))
        elif isinstance(operation, SPIKING):
            if window is None:
                raise ValueError(f"Expected a TTFSEncoder before every spiking layer. {operation.name!r} has none.")
            kind, window = "spikes", Window(window.end, window.end + float(float64(operation.window)))
        elif window is not None and not (set(kinds) == {"spikes"} and isinstance(operation, POOLS + RELAYS)):
            kind = "potentials"
        found |= {id(tensor): Signal(kind, window) for tensor in outputs}
    return found


def _join(windows):
    if not windows:
        return None
    end = max(window.end for window in windows)
    return Window(end - max(window.end - window.start for window in windows), end) if len(windows) > 1 else windows[0]


def schedule(snn):
    """Return `{layer name: Window}` in absolute window time, in the order of computation.

        encoder: [0, 1];   spiking layer: t_min = t_max of its inputs, the latest one;  t_max = t_min + X

    X is the layer's present window width. A layer that does not fire (pools, Flatten, linear layers, Add, ...) has its
    inputs' window, and so has the read-out: it is read at the end of that window. Layers before the encoder have none.
    Source: Stanojevic et al., Nature Communications 15:6793 (2024), t_min(n) = t_max(n-1).

    Args:
        snn: Sequential or Functional model of TTFS layers.

    Raises:
        ValueError: the model is another one, holds a model as a layer, uses a layer twice, or lacks the encoder.
    """
    model = as_functional(snn)
    carried = signals(model)
    windows = {}
    for step in steps(model):
        window = carried[id(step.outputs[0])].window
        if window is not None:
            windows[step.operation.name] = window
    return windows


def latency(snn):
    """Return the time at which the outputs are read, the latest t_max that feeds them, in window time.

    Args:
        snn: as for `schedule`.

    Raises:
        ValueError: as for `schedule`, or no output depends on spikes.
    """
    model = as_functional(snn)
    carried = signals(model)
    ends = [window.end for tensor in model.outputs if (window := carried[id(tensor)].window) is not None]
    if not ends:
        raise ValueError("Expected an output that depends on spikes. Received: a model without a TTFSEncoder")
    return max(ends)


def checked_inputs(model, x):
    """Return inputs as a list of arrays with the shapes and types of a Functional model's inputs.

    Args:
        model: Functional model.
        x: array, or a list of them for several inputs.

    Raises:
        ValueError: an array is not numeric, is empty, has another shape or holds NaN, or their number is another.
    """
    arrays = [np.asarray(array) for array in (x if len(model.inputs) > 1 else [x])]
    if len(arrays) != len(model.inputs):
        raise ValueError(f"Expected {len(model.inputs)} inputs. Received: {len(arrays)}")
    for array, symbol in zip(arrays, model.inputs, strict=True):
        expected = symbol.shape
        if array.dtype.kind not in "biuf":
            raise ValueError(f"Expected numbers. Received: dtype={array.dtype}")
        sizes_fit = array.ndim == len(expected) and all(
            n in (None, m) for n, m in zip(expected, array.shape, strict=True)
        )
        if not array.size or not sizes_fit:
            raise ValueError(f"Expected inputs of shape {expected}. Received: shape={array.shape}")
        if np.isnan(array).any():
            raise ValueError(f"Expected numbers. Received: NaN in {np.isnan(array).sum()} of {array.size} inputs")
    return [tf.cast(array, symbol.dtype).numpy() for array, symbol in zip(arrays, model.inputs, strict=True)]
