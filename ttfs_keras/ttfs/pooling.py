"""Max pooling of spikes: the earliest one wins."""

from typing import Any

import keras
import tensorflow as tf


class _SpikePooling(keras.layers.Layer):
    """Base beside a Keras layer of max pooling: pass on the earliest spike of each pool, the largest lead time.

    With `signed=True`, channels whose `sign` is -1 pass on the latest one (silence if any of the pool is silent):

        sign(k) max(sign(k) x)        the max pooling of k x, k a batch norm's scale moved behind the pool

    Samples that hold NaN become NaN.
    """

    def __init__(self, *args, signed=False, **kwargs):
        super().__init__(*args, **kwargs)
        if signed and self.data_format != "channels_last":
            raise ValueError(
                f"signed=True expects data_format='channels_last'. Received: data_format={self.data_format!r}"
            )
        self.signed = signed

    def build(self, input_shape):
        if self.signed:
            self.sign = self.add_weight(name="sign", shape=input_shape[-1:], initializer="ones", trainable=False)

    def call(self, lead):
        pooled = super().call(lead * self.sign) * self.sign if self.signed else super().call(lead)
        # On a CPU TensorFlow's max pooling passes over NaN. A sum per sample is the cheapest that does not.
        lost = tf.math.is_nan(tf.reduce_sum(lead, axis=range(1, len(lead.shape))))
        shape = [-1] + [1] * (len(pooled.shape) - 1)
        return pooled + tf.reshape(tf.where(lost, tf.constant(float("nan"), lead.dtype), 0), shape)

    def get_config(self):
        return {**super().get_config(), "signed": self.signed}


@keras.saving.register_keras_serializable(package="ttfs_keras")
class TTFSMaxPooling2D(_SpikePooling, keras.layers.MaxPooling2D):
    """Pass on the earliest spike of each pool, the one with the largest lead time.

    With `signed=True`, channels whose `sign` is -1 pass on the latest one (silence if any of the pool is silent):

        sign(k) max(sign(k) x)        the max pooling of k x, k a batch norm's scale moved behind the pool

    Shapes: lead times `(batch, height, width, channels)` to lead times `(batch, new height, new width, channels)`.

    Args:
        pool_size, strides, padding, data_format: as for `keras.layers.MaxPooling2D`.
        signed: whether to have the non-trainable weight `sign`, `(channels,)`, 1 at first.

    Raises:
        ValueError: an argument is outside its range, or `signed` with another data_format than "channels_last".

    Example:
        >>> tk.TTFSMaxPooling2D()(np.ones((1, 4, 4, 2))).shape
        TensorShape([1, 2, 2, 2])
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = (2, 2),
        strides: int | tuple[int, int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        *,
        signed: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            pool_size=pool_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            name=name,
            signed=signed,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="ttfs_keras")
class TTFSMaxPooling1D(_SpikePooling, keras.layers.MaxPooling1D):
    """`TTFSMaxPooling2D` for `(batch, steps, channels)`.

    Example:
        >>> tk.TTFSMaxPooling1D()(np.ones((1, 4, 2))).shape
        TensorShape([1, 2, 2])
    """

    def __init__(
        self,
        pool_size: int = 2,
        strides: int | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        *,
        signed: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            pool_size=pool_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            name=name,
            signed=signed,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="ttfs_keras")
class TTFSMaxPooling3D(_SpikePooling, keras.layers.MaxPooling3D):
    """`TTFSMaxPooling2D` for `(batch, depth, height, width, channels)`.

    Example:
        >>> tk.TTFSMaxPooling3D()(np.ones((1, 4, 4, 4, 2))).shape
        TensorShape([1, 2, 2, 2, 2])
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int, int] = (2, 2, 2),
        strides: int | tuple[int, int, int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        *,
        signed: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            pool_size=pool_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            name=name,
            signed=signed,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="ttfs_keras")
class TTFSGlobalMaxPooling1D(_SpikePooling, keras.layers.GlobalMaxPooling1D):
    """`TTFSMaxPooling2D` with one pool for all steps.

    Example:
        >>> tk.TTFSGlobalMaxPooling1D()(np.ones((1, 4, 2))).shape
        TensorShape([1, 2])
    """

    def __init__(self, data_format: str | None = None, keepdims: bool = False, *, signed: bool = False, **kwargs: Any):
        super().__init__(data_format=data_format, keepdims=keepdims, signed=signed, **kwargs)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class TTFSGlobalMaxPooling2D(_SpikePooling, keras.layers.GlobalMaxPooling2D):
    """`TTFSMaxPooling2D` with one pool for the whole image.

    Example:
        >>> tk.TTFSGlobalMaxPooling2D()(np.ones((1, 4, 4, 2))).shape
        TensorShape([1, 2])
    """

    def __init__(self, data_format: str | None = None, keepdims: bool = False, *, signed: bool = False, **kwargs: Any):
        super().__init__(data_format=data_format, keepdims=keepdims, signed=signed, **kwargs)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class TTFSGlobalMaxPooling3D(_SpikePooling, keras.layers.GlobalMaxPooling3D):
    """`TTFSMaxPooling2D` with one pool for the whole volume.

    Example:
        >>> tk.TTFSGlobalMaxPooling3D()(np.ones((1, 4, 4, 4, 2))).shape
        TensorShape([1, 2])
    """

    def __init__(self, data_format: str | None = None, keepdims: bool = False, *, signed: bool = False, **kwargs: Any):
        super().__init__(data_format=data_format, keepdims=keepdims, signed=signed, **kwargs)


# The pooling of spikes that stands for each of Keras's.
OF_KERAS: dict[Any, Any] = {
    keras.layers.MaxPooling1D: TTFSMaxPooling1D,
    keras.layers.MaxPooling2D: TTFSMaxPooling2D,
    keras.layers.MaxPooling3D: TTFSMaxPooling3D,
    keras.layers.GlobalMaxPooling1D: TTFSGlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D: TTFSGlobalMaxPooling2D,
    keras.layers.GlobalMaxPooling3D: TTFSGlobalMaxPooling3D,
}
