"""Convolutional TTFS neurons."""

import keras
from keras import ops

from ttfs_keras.ttfs.affine import Affine
from ttfs_keras.ttfs.synapses import SpikingSynapses


@keras.saving.register_keras_serializable(package="ttfs_keras")
class TTFSConv2D(SpikingSynapses, keras.layers.Conv2D):
    """Convolution to neurons that spike at most once, exact twin of `Conv2D(..., activation="relu")`.

        x = min(max(conv(x, w) + b, 0), X)        zero padding is silence

    With `input_affine=True` the twin of `Conv2D` on inputs k x + c padded with zeros, where k and c are a batch norm or
    an input range: W = k kernel, and the threshold offset becomes the map

        D = bias + conv(c broadcast over the image, kernel)

    exact for every padding, stride and dilation (the nine border zones of the paper's public code hold for 3x3 kernels
    at stride 1). `kernel`, `bias` and c train, so the border stays tied to the middle.

    Shapes: lead times `(batch, height, width, channels)` to lead times `(batch, new height, new width, filters)`.

    Args:
        filters, kernel_size: as for `keras.layers.Conv2D`, whose other arguments but `activation` hold too.
        input_affine: whether the inputs have a scale and an offset.
        window, window_rule, parameterization, perturbation: as for `TTFSDense`.

    Raises:
        ValueError: an argument is outside its range, an activation is given, or data_format is not "channels_last".
    """

    def __init__(self, *args, input_affine=False, **kwargs):
        super().__init__(*args, **kwargs)
        if self.data_format != "channels_last":
            raise ValueError(f"Expected data_format='channels_last'. Received: data_format={self.data_format!r}")
        self.input_affine = Affine(dtype=self.dtype_policy, name="input_affine") if input_affine else None

    def build(self, input_shape):
        """Create the weights, the window and, if asked for, scale and offset of the inputs."""
        super().build(input_shape)
        if self.input_affine is not None:
            self.input_affine.build(input_shape)

    def convolution_op(self, inputs, kernel):
        """Return the convolution; TensorFlow's on a CPU (oneDNN) gives an empty batch the shape of the inputs."""
        result = super().convolution_op(inputs, kernel)
        shape = self.compute_output_shape(tuple(inputs.shape))[1:]
        return result if None in shape else ops.reshape(result, (ops.shape(inputs)[0], *shape))

    def trained_weights(self, input_shape):
        """Return W and D before perturbation; D is a map `(1, height, width, filters)` with `input_affine`."""
        if self.input_affine is None:
            return self.kernel, self.bias
        scale, offset = self.input_affine.scale, self.input_affine.offset
        constant = ops.broadcast_to(offset, (1, *input_shape[1:]))
        offsets = self.convolution_op(constant, self.kernel)
        # Each group's filters, side by side on the last axis, see their own slice of the channels.
        per_group = ops.reshape(scale, (self.groups, -1))
        scales = ops.transpose(ops.repeat(per_group, self.filters // self.groups, axis=0))
        return self.kernel * scales, offsets if self.bias is None else offsets + self.bias

    def integrate(self, lead, weights):
        """Return the sums over the synapses."""
        return self.convolution_op(lead, weights)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "input_affine": self.input_affine is not None}
