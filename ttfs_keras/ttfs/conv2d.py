"""Convolutional TTFS neurons."""

from typing import Any

import keras
from keras import ops

from ttfs_keras.ttfs.affine import Affine
from ttfs_keras.ttfs.synapses import SpikingSynapses
from ttfs_keras.ttfs.windows import WindowRule


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

    Example:
        >>> tk.TTFSConv2D(4, 3, strides=2, padding="same")(np.zeros((1, 8, 8, 2))).shape
        TensorShape([1, 4, 4, 4])
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | tuple[int, int] = (1, 1),
        groups: int = 1,
        activation: None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        *,
        input_affine: bool = False,
        window: float = 1.0,
        window_rule: WindowRule | None = None,
        parameterization: Any = "b1",
        perturbation: Any = None,
        unit: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(
            filters=filters,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            groups=groups,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            window=window,
            window_rule=window_rule,
            parameterization=parameterization,
            perturbation=perturbation,
            unit=unit,
            **kwargs,
        )
        if self.data_format != "channels_last":
            raise ValueError(f"Expected data_format='channels_last'. Received: data_format={self.data_format!r}")
        self.input_affine = Affine(dtype=self.dtype_policy, name="input_affine") if input_affine else None

    def build(self, input_shape):
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
        return self.convolution_op(lead, weights)

    def get_config(self):
        return {**super().get_config(), "input_affine": self.input_affine is not None}
