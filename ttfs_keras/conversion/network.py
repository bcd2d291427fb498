"""The spiking network under construction: emits synapses, neurons and read-outs with folded weights."""

import dataclasses
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from ttfs_keras.conversion.moves import check_linear, moved_constants
from ttfs_keras.conversion.registry import Refusal
from ttfs_keras.conversion.values import Deferred, Digital, Emitted, affine, widest
from ttfs_keras.network.fold import fold_input, fold_output, weights_of
from ttfs_keras.ttfs.affine import Affine
from ttfs_keras.ttfs.conv2d import TTFSConv2D
from ttfs_keras.ttfs.dense import TTFSDense
from ttfs_keras.ttfs.interpolation import Interpolation, separated
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
            if layer.name not in windows:
                continue
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

    def copies(self, call, tensors, **changes):
        """Return the list of what a copy of a call's operation, weights included, makes of tensors."""
        operation = call.operation
        name = changes.pop("name", None) or self.unique(call.name)
        try:
            config = operation.get_config() | {"name": name} | changes
        except (NotImplementedError, TypeError) as error:
            raise Refusal("it cannot be copied, having no configuration", "define its get_config") from error
        copied = type(operation).from_config(config)
        outputs = call.of(copied)(dict(zip(call.inputs, tensors, strict=True)))
        if weights := getattr(operation, "weights", None):
            copied.set_weights([np.asarray(weight) for weight in weights])
        return outputs

    def clone(self, call, tensor, **changes):
        """Return what a copy of a call's operation makes of a tensor."""
        return self.copies(call, [tensor], **changes)[0]

    def emitted(self, value):
        """Return a value as an `Emitted` one."""
        return value if isinstance(value, Emitted) else Emitted(value.shape, tensor=self.realise(value))

    def affine(self, value, scale, offset):
        """Return `scale * value + offset`; the two broadcast to a sample's shape."""
        scale, offset = (_compact(np.asarray(part, np.float64)) for part in (scale, offset))
        found = affine(value, scale, offset)
        if isinstance(value, Deferred) and found.per_channel() is None:  # which no weights can take up
            found = affine(self.emitted(value), scale, offset)
        return found

    def moved(self, call, values):
        """Return the values that an operation moves, repeats or drops, with their scales and offsets."""
        check_linear(call)
        parts = [self.emitted(value) for value in values]
        constants = moved_constants(call, parts)
        if constants is None:
            parts = [self.unscaled(part) for part in parts]
            constants = [(np.ones(1), np.zeros(1))] * len(call.outputs)
        spikes = all(part.spikes for part in parts)
        tensors = self.copies(call, [part.tensor for part in parts])
        return [
            Emitted(symbol.shape, *pair, tensor=tensor, spikes=spikes)
            for symbol, pair, tensor in zip(call.outputs, constants, tensors, strict=True)
        ]

    def summed(self, call, values, **changes):
        """Return the values that an operation sums with fixed weights: synapses that are emitted as they are."""
        check_linear(call)
        parts = [self.emitted(value) for value in values]
        scale = parts[0].scale
        if len(parts) > 1 or scale.size > 1 or parts[0].offset.any():
            parts, scale = [self.unscaled(part) for part in parts], np.ones(1)
        tensors = self.copies(call, [part.tensor for part in parts], **changes)
        return [Emitted(s.shape, scale, tensor=t) for s, t in zip(call.outputs, tensors, strict=True)]

    def interpolated(self, call, values):
        """Return what an operation that resizes images makes of a value."""
        (value,) = values
        _, *image, channels = value.shape
        if len(image) != 2 or None in (*image, channels) or value.shape[-1] != call.shape[-1]:
            raise Refusal(f"it resizes {value.shape}", "give it images of a fixed size, channels last")
        value = self.plain(value)
        if value.offset.any():
            value = self.unscaled(value)
        layer = Interpolation(call.shape[1:3], name=self.unique(call.name), dtype=value.tensor.dtype)
        tensor = layer(value.tensor)
        (symbol,), resize = call.inputs, call.in_float64()
        rows, columns = separated(lambda images: resize({symbol: tf.constant(images)})[0], *image)
        layer.rows.assign(rows)
        layer.columns.assign(columns)
        return [Emitted(call.shape, value.scale, value.offset, tensor)]

    def transposed(self, value, axes, name):
        """Return a value with the axes of its samples in another order, which are counted from 0."""
        value = self.emitted(value)
        permute = layers.Permute([axis + 1 for axis in axes], name=self.unique(name), dtype=value.tensor.dtype)
        scale, offset = (
            _compact(part.reshape((1,) * (len(axes) - part.ndim) + part.shape).transpose(axes))
            for part in (value.scale, value.offset)
        )
        tensor = permute(value.tensor)
        return Emitted((value.shape[0], *(value.shape[1 + a] for a in axes)), scale, offset, tensor, value.spikes)

    def unscaled(self, value):
        """Return a value as an `Emitted` one whose scale is 1 and offset 0."""
        tensor = self.realise(value)
        return Emitted(
            value.shape, tensor=tensor, spikes=isinstance(value, Emitted) and value.spikes and tensor is value.tensor
        )

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

    def sum(self, added, subtracted, name):
        """Return the sum of some values less that of others, as potentials."""
        tensors = [[self.realise(value) for value in values] for values in (added, subtracted)]
        totals = [
            layers.Add(name=self.unique(f"{name}_sum"), dtype=widest(group))(group) if len(group) > 1 else group[0]
            for group in tensors
            if group
        ]
        if len(totals) > 1:
            subtract = layers.Subtract(name=self.unique(f"{name}_rails"), dtype=widest(totals))
            totals = [subtract(totals)]
        return Emitted(tuple(totals[0].shape), tensor=totals[0])

    def extreme(self, call, values, largest):
        """Return the largest or the smallest of some values.

        max(a, b) = a + max(b - a, 0)        min(a, b) = a - max(a - b, 0)
        """
        result, *others = values
        for value in others:
            result, value = self.unscaled(result), self.unscaled(value)
            above = self.sum([value], [result], call.name) if largest else self.sum([result], [value], call.name)
            spikes = self.fire(above, f"{call.name}_difference")
            result = self.sum([result, spikes], [], call.name) if largest else self.sum([result], [spikes], call.name)
        return result

    def digital(self, call, values, causes=(), name=None):
        """Return what a call's operation, which has no weights, makes of read-outs: a step behind the spiking network.

        Args:
            call: of the operation.
            values: that it takes.
            causes: lines of the error that it is if spikes are needed behind it; those of the values are added.
            name: of the emitted layer, that of the call if None.
        """
        known = [cause for value in values if isinstance(value, Digital) for cause in value.causes]
        tensors = [self.read_out(value).tensor for value in values]
        changes = {"dtype": widest(tensors)} if isinstance(call.operation, layers.Layer) else {}
        changes |= {} if name is None else {"name": self.unique(name)}
        causes = tuple(dict.fromkeys([*known, *causes]))
        return [Digital(tensor, causes) for tensor in self.copies(call, tensors, **changes)]

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


def _compact(array):
    """Return an array that broadcasts to a sample's shape without leading axes of size 1."""
    while array.ndim > 1 and array.shape[0] == 1:
        array = array[0]
    return array.reshape(1) if array.size == 1 else array


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
