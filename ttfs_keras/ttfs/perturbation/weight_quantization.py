"""Weights on a grid."""

from typing import Any

import keras
from keras import ops

from ttfs_keras.ttfs.perturbation.bits import checked_bits
from ttfs_keras.ttfs.perturbation.perturbation import Perturbation, straight_through


@keras.saving.register_keras_serializable(package="ttfs_keras")
class WeightQuantization(Perturbation):
    """Synaptic weights and threshold offsets on 2**bits levels that contain 0.

        step = (w_max - w_min)/(2**bits - 1),  z = round(-w_min/step)
        W <- (clip(round(W/step) + z, 0, 2**bits - 1) - z) step

    Source of the zero point z: Jacob et al., arXiv 1712.05877.

    Args:
        bits: int >= 1.
        w_min: lowest level, <= 0.
        w_max: highest level, >= 0, above w_min.
        per_channel: take the range of each neuron's weights (and of the layer's offsets) instead of w_min and w_max.

    Raises:
        ValueError: an argument is outside its range.

    Example:
        >>> weights, _ = tk.WeightQuantization(2, -1.0, 2.0).perturb_weights(tf.constant([[-3.0, 0.4, 1.2]]), None)
        >>> weights.numpy().tolist()
        [[-1.0, 0.0, 1.0]]
    """

    def __init__(self, bits: int, w_min: float = -1.0, w_max: float = 1.0, per_channel: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.bits = checked_bits(bits)
        if not (w_min <= 0 <= w_max and w_min < w_max):
            raise ValueError(f"Expected w_min <= 0 <= w_max and w_min < w_max. Received: w_min={w_min}, w_max={w_max}")
        self.w_min = w_min
        self.w_max = w_max
        self.per_channel = per_channel

    def _quantize(self, values, axes):
        values = ops.convert_to_tensor(values)  # in the compute dtype, where a variable keeps its own
        low, high = self.w_min, self.w_max
        if self.per_channel:
            low = ops.minimum(ops.min(values, axis=axes, keepdims=True), 0)
            high = ops.maximum(ops.max(values, axis=axes, keepdims=True), 0)
        levels = 2**self.bits - 1
        step = ops.convert_to_tensor((high - low) / levels, values.dtype)
        step = ops.where(step > 0, step, 1)  # all-zero weights have no range; any step keeps them 0
        zero = ops.round(-low / step)
        return straight_through(values, (ops.clip(ops.round(values / step) + zero, 0, levels) - zero) * step)

    def perturb_weights(self, weights, offsets):
        """Quantize both."""
        weights = self._quantize(weights, tuple(range(len(weights.shape) - 1)))
        return weights, None if offsets is None else self._quantize(offsets, tuple(range(len(offsets.shape))))

    def get_config(self):
        config = {"bits": self.bits, "w_min": self.w_min, "w_max": self.w_max, "per_channel": self.per_channel}
        return {**super().get_config(), **config}
