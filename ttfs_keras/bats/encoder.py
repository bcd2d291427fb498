"""Encoding of values as spike trains."""

from typing import Any

import keras
import tensorflow as tf

from ttfs_keras import arguments
from ttfs_keras.bats.layer import SpikeTrainLayer
from ttfs_keras.bats.spike_trains import SpikeTrains
from ttfs_keras.network.encoding import normalized

__all__ = ["LatencyEncoder"]


@keras.saving.register_keras_serializable(package="ttfs_keras")
class LatencyEncoder(SpikeTrains, SpikeTrainLayer):
    """Encode values as trains of at most one spike: the larger, the earlier; the lowest value gives no spike.

        t = time_window (1 - v),  v = clip((value - p)/(q - p), 0, 1);  inf where v = 0

    A value that is NaN gives the time NaN. The gradient is -time_window/(q - p) inside the range and 0 elsewhere.
    Source: Bacho & Chu, arXiv 2212.09500 (`time_window` 0.1 s for MNIST).

    Shapes: values `(batch, ...)` to trains `(batch, ..., 1)`, in seconds.

    Args:
        time_window: seconds in which the spikes fall, > 0.
        input_range: (p, q), the range of the values. Values outside it are clipped; `tk.metric_card` counts them.
        **kwargs: of `keras.layers.Layer`: `name` and `dtype`, which must be float32 or float64.

    Raises:
        ValueError: time_window is not positive, p >= q, or dtype is a half-precision one.

    Example:
        >>> bats.LatencyEncoder(time_window=0.5)(np.array([[0.0, 0.5, 1.0]])).numpy().tolist()
        [[[inf], [0.25], [0.0]]]
    """

    encodes = True

    def __init__(self, time_window: float = 0.1, input_range: tuple[float, float] = (0.0, 1.0), **kwargs: Any):
        super().__init__(**kwargs)
        low, high = input_range
        arguments.require(
            "LatencyEncoder",
            (arguments.positive(time_window), "time_window > 0, finite", f"time_window={time_window}"),
            (
                arguments.finite(low) and arguments.finite(high) and low < high,
                "input_range=(p, q) with p < q, finite",
                f"input_range={input_range}",
            ),
        )
        self.time_window = float(time_window)
        self.input_range = (float(low), float(high))

    def spikes_end(self, arriving: float, shape: tuple) -> float:
        """Return the end of the window of the input spikes."""
        return self.time_window

    def call(self, values):
        brightness = normalized(tf.cast(values, self.compute_dtype), self.input_range)
        return tf.where(brightness != 0, self.time_window * (1 - brightness), float("inf"))[..., tf.newaxis]

    def compute_output_shape(self, input_shape):
        return (*input_shape, 1)

    def get_config(self):
        return {**super().get_config(), "time_window": self.time_window, "input_range": self.input_range}
