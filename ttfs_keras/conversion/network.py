"""The spiking network under construction: emits TTFS layers with folded weights."""

import numpy as np

from ttfs_keras.conversion.registry import Refusal
from ttfs_keras.conversion.values import Digital, Potential, Spikes
from ttfs_keras.ttfs.conv2d import TTFSConv2D
from ttfs_keras.ttfs.dense import TTFSDense
from ttfs_keras.ttfs.readout import TTFSReadout


class Network:
    """Emit layers named after the source's.

    Args:
        options: `window_rule` and `perturbation` of every layer.

    Attributes:
        neurons: list of (TTFS layer, source tensor of the same activations), for calibration.
        output: the source tensor that the operation being mapped gives.
    """

    def __init__(self, **options):
        self.options = options
        self.neurons = []
        self.output = None

    def fire(self, potential):
        """Turn a `Potential` into spikes, those of `output`."""
        if not isinstance(potential, Potential):
            raise Refusal("its input does not come from a Dense or Conv2D layer", "put the ReLU behind one")
        layer, inputs = potential.layer, potential.inputs
        arguments = _regularizers(layer) | self.options | {"name": layer.name, "dtype": layer.dtype_policy}
        if potential.kernel.ndim == 2:
            neurons = TTFSDense(layer.units, **arguments)
            tensor = neurons(inputs.tensor)
            _assign(neurons, *_folded(potential))
        else:
            # Zero padding is zero after scale and offset: near the border an offset is no longer a plain bias.
            padded = layer.padding == "same" and bool(np.any(inputs.offset))
            neurons = TTFSConv2D(
                layer.filters, layer.kernel_size, strides=layer.strides, padding=layer.padding,
                dilation_rate=layer.dilation_rate, groups=layer.groups, input_affine=padded, **arguments,
            )  # fmt: skip
            tensor = neurons(inputs.tensor)
            if neurons.input_affine is not None:
                _assign(neurons, potential.kernel, potential.bias)
                neurons.input_affine.scale.assign(inputs.scale)
                neurons.input_affine.offset.assign(inputs.offset)
            else:
                _assign(neurons, *_folded(potential))
        self.neurons.append((neurons, self.output))
        return _plain(tensor)

    def read_out(self, potential):
        """Turn the last potential into the digital logits."""
        layer = potential.layer
        if potential.kernel.ndim != 2:
            raise Refusal("the output is a convolution without ReLU", "end the model with a Dense layer")
        arguments = _regularizers(layer) | {"name": layer.name, "dtype": layer.dtype_policy}
        readout = TTFSReadout(layer.units, perturbation=self.options.get("perturbation"), **arguments)
        tensor = readout(potential.inputs.tensor)
        _assign(readout, *_folded(potential))
        return Digital(tensor)


def _plain(tensor):
    channels = tensor.shape[-1]
    return Spikes(tensor, np.ones(channels), np.zeros(channels))


def _regularizers(layer):
    return {"kernel_regularizer": layer.kernel_regularizer, "bias_regularizer": layer.bias_regularizer}


def _assign(layer, kernel, bias):
    layer.kernel.assign(kernel)
    layer.bias.assign(bias)


def _folded(potential):
    """Return kernel and bias with scale and offset of the inputs folded in, where no padding meets an offset."""
    kernel, inputs = potential.kernel, potential.inputs
    per_group = kernel.shape[-2]
    groups = len(inputs.scale) // per_group
    # `(per_group, neurons)`: what each neuron's own slice of the channels carries.
    scale, offset = (
        np.repeat(values.reshape(groups, per_group).T, kernel.shape[-1] // groups, axis=1)
        for values in (inputs.scale, inputs.offset)
    )
    bias = potential.bias + (kernel * offset).sum(axis=tuple(range(kernel.ndim - 1)))
    return kernel * scale, bias
