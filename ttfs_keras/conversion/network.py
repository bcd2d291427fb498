"""The spiking network under construction: emits synapses, neurons and read-outs with folded weights."""

import dataclasses
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from ttfs_keras.conversion.values import Deferred, Digital, Emitted, refuse_digital, widest
from ttfs_keras.network.fold import fold_input, fold_output, weights_of
from ttfs_keras.ttfs.affine import Affine
from ttfs_keras.ttfs.conv2d import TTFSConv2D
from ttfs_keras.ttfs.dense import TTFSDense
from ttfs_keras.ttfs.neuron import TTFSNeuron
from ttfs_keras.ttfs.perturbation import EarlyClosing
from ttfs_keras.ttfs.readout import TTFSReadout
from ttfs_keras.ttfs.windows import Clip, FixedWindow

UNBOUNDED = 1e30  # a window that no activation overflows, finite so that float32 can hold it


class Neurons(NamedTuple):
    """A population that was emitted.

    Attributes:
        layer: TTFS layer.
        clip: fixed width of the window (ReLU6), or None.
    """

    layer: keras.layers.Layer
    clip: float | None


class Network:
    """Emit layers; those that spike are named after the source's call that has the same activations.

    Args:
        window_rule: of every layer whose source does not clip.
        perturbation: of every layer.
        units: `{layer name: X}`: emit lead times in units of X, so that the window is X times narrower; 1 if not named.
        windows: `{layer name: width}` in the source's units, or None to open all windows wide, for calibration.

    Attributes:
        neurons: list of `Neurons`, in order.
    """

    def __init__(self, window_rule, perturbation=None, units=None, windows=None):
        self.window_rule = window_rule
        self.perturbation = perturbation if isinstance(perturbation, list | tuple | None) else [perturbation]
        self.units = units or {}
        self.windows = windows
        self.neurons = []
        self._taken = set()
        self._realised = {}

    def close(self, windows):
        """Give the windows that were emitted open wide their widths, `{layer name: width}`."""
        for layer, clip in self.neurons:
            neuron = getattr(layer, "neuron", layer)
            neuron.set_window(windows[layer.name])
            neuron.window_rule = self._rule(windows[layer.name], clip)

    def _rule(self, width, clip):
        if clip is None:
            return self.window_rule
        return Clip() if width == clip else FixedWindow()

    def unique(self, name):
        """Return a layer name that is not taken yet."""
        number, found = 1, name
        while found in self._taken:
            number, found = number + 1, f"{name}_{number}"
        self._taken.add(found)
        return found

    def clone(self, call, tensor, **changes):
        """Return what a copy of a call's layer, which has no weights, makes of a tensor."""
        config = call.operation.get_config() | {"name": self.unique(call.name)} | changes
        return type(call.operation).from_config(config)(tensor)

    def emitted(self, value):
        """Return a value as an `Emitted` one."""
        refuse_digital(value)
        return value if isinstance(value, Emitted) else Emitted(value.shape, tensor=self.realise(value))

    def plain(self, value):
        """Return a value as an `Emitted` one whose scale and offset are those of whole channels."""
        value = self.emitted(value)
        channels = value.per_channel()
        if channels is None:
            return Emitted(value.shape, tensor=self.realise(value))
        return dataclasses.replace(value, scale=channels[0], offset=channels[1])

    def realise(self, value):
        """Return the tensor of the source's value itself, emitting the layers that it takes."""
        if isinstance(value, Deferred):
            if value not in self._realised:
                self._realised[value] = self._emit_linear(value)
            return self._realised[value]
        if (value.scale == 1).all() and not value.offset.any():
            return value.tensor
        scale, offset = np.broadcast_arrays(value.scale, value.offset)
        affine = Affine(scale.shape, dtype=value.tensor.dtype, name=self.unique("affine"))
        tensor = affine(value.tensor)
        affine.scale.assign(scale)
        affine.offset.assign(offset)
        return tensor

    def _folded(self, value):
        """Return the layer's weights with output and, where exact, input folds, and the tensor that they take."""
        layer, source = value.layer, value.source
        weights = fold_output(layer, weights_of(layer), *value.per_channel())
        channels = source.per_channel() if isinstance(source, Emitted) else None
        if channels is not None:
            folded = fold_input(layer, weights, *channels)
            if folded is not None:
                return folded, source.tensor
        return weights, self.realise(source)

    def _emit_linear(self, value):
        weights, tensor = self._folded(value)
        config = value.layer.get_config() | {"name": self.unique(value.name), "activation": None, "use_bias": True}
        layer = type(value.layer).from_config(config)
        output = layer(tensor)
        for name, array in weights.items():
            getattr(layer, name).assign(array)
        return output

    def fire(self, value, name, clip=None, sign=1, threshold=0.0):
        """Turn a value into the spikes of max(sign value, 0), clipped at `clip` if given.

        Args:
            value: `Value`.
            name: of the source's call that has these activations, or of the rail.
            clip: largest activation, as of ReLU6, or None.
            sign: 1 or -1.
            threshold: activations up to it are 0.
        """
        name = self.unique(name)
        unit = self.units.get(name, 1.0)
        value = _scaled(value, sign / unit)
        width = self.windows[name] if self.windows is not None else clip or UNBOUNDED
        arguments = {"name": name, "window": width / unit, "unit": unit}
        closing = [EarlyClosing(threshold / unit)] if threshold else []
        arguments["perturbation"] = [*closing, *(self.perturbation or [])]
        arguments["window_rule"] = self._rule(width, clip)
        if isinstance(value, Deferred) and type(value.layer) in (layers.Dense, layers.Conv2D):
            layer, tensor = self._emit_spiking(value, arguments)
        else:
            layer = TTFSNeuron(dtype=_dtype(value), **arguments)
            tensor = layer(self.realise(value))
        self.neurons.append(Neurons(layer, clip))
        return Emitted(value.shape, np.full(1, unit), tensor=tensor, spikes=True)

    def _emit_spiking(self, value, arguments):
        source = value.layer
        arguments |= _regularizers(source) | {"dtype": source.dtype_policy}
        channels = value.source.per_channel() if isinstance(value.source, Emitted) else None
        if isinstance(source, layers.Dense):
            weights, inputs = self._folded(value)
            layer = TTFSDense(source.units, **arguments)
        else:
            # Zero padding comes after scale and offset: near the border an offset is no longer a plain bias.
            tied = source.padding == "same" and channels is not None and channels[1].any()
            if tied:
                weights = fold_output(source, weights_of(source), *value.per_channel())
                inputs = value.source.tensor
            else:
                weights, inputs = self._folded(value)
            layer = TTFSConv2D(
                source.filters, source.kernel_size, strides=source.strides, padding=source.padding,
                dilation_rate=source.dilation_rate, groups=source.groups, input_affine=tied, **arguments,
            )  # fmt: skip
        tensor = layer(inputs)
        layer.kernel.assign(weights["kernel"])
        layer.bias.assign(weights["bias"])
        if channels is not None and getattr(layer, "input_affine", None) is not None:
            layer.input_affine.scale.assign(channels[0])
            layer.input_affine.offset.assign(channels[1])
        return layer, tensor

    def signed_spikes(self, value, name):
        """Return the positive and the negative channel of a value: spikes of max(value, 0) and of max(-value, 0)."""
        value = Emitted(value.shape, tensor=self.realise(value))  # once for both
        positive, negative = self.fire(value, f"{name}_positive"), self.fire(value, f"{name}_negative", sign=-1)
        return positive, negative

    def difference(self, positive, negative, name):
        """Return the value that two channels of spikes carry, as potentials `positive - negative`."""
        tensors = [self.realise(positive), self.realise(negative)]
        subtract = layers.Subtract(name=self.unique(f"{name}_rails"), dtype=widest(tensors))
        return Emitted(positive.shape, tensor=subtract(tensors))

    def digital(self, step, value):
        """Return what a layer makes of the read-out of a value: a step behind the spiking network."""
        tensor = self.read_out(value).tensor
        step.dtype_policy = keras.dtype_policies.get(tensor.dtype)
        return Digital(step(tensor))

    def read_out(self, value):
        """Turn a value that leaves the network into `Digital` potentials."""
        if isinstance(value, Digital):
            return value
        if isinstance(value, Deferred) and type(value.layer) is layers.Dense:
            weights, inputs = self._folded(value)
            source = value.layer
            arguments = _regularizers(source) | {"dtype": source.dtype_policy, "perturbation": self.perturbation}
            readout = TTFSReadout(source.units, name=self.unique(value.name), **arguments)
            tensor = readout(inputs)
            readout.kernel.assign(weights["kernel"])
            readout.bias.assign(weights["bias"])
            return Digital(tensor)
        return Digital(self.realise(value))


def _scaled(value, factor):
    """Return the value times a number."""
    if factor == 1:
        return value
    parts = {name: getattr(value, name) for name in value.__dataclass_fields__}
    return type(value)(**parts | {"scale": value.scale * factor, "offset": value.offset * factor})


def _dtype(value):
    return value.layer.dtype_policy if isinstance(value, Deferred) else value.tensor.dtype


def _regularizers(layer):
    return {"kernel_regularizer": layer.kernel_regularizer, "bias_regularizer": layer.bias_regularizer}
