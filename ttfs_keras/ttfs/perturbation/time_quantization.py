"""Spike times on a grid."""

from typing import Any

import keras
from keras import ops

from ttfs_keras.ttfs.perturbation.bits import checked_bits
from ttfs_keras.ttfs.perturbation.perturbation import Perturbation, straight_through


@keras.saving.register_keras_serializable(package="ttfs_keras")
class TimeQuantization(Perturbation):
    """Spike times on a grid of 2**bits steps per window, rounded to the nearest one (mid-tread).

        x <- round(x/step) step,  step = X/2**bits

    A spike less than half a step before t_max rounds to t_max, which is silence.

    Args:
        bits: int >= 1.

    Raises:
        ValueError: bits is not such an integer.

    Example:
        >>> tk.TimeQuantization(2).perturb_spikes(tf.constant([[0.0, 0.1, 0.3, 1.0]]), 1.0).numpy().tolist()
        [[0.0, 0.0, 0.25, 1.0]]
    """

    def __init__(self, bits: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.bits = checked_bits(bits)

    def perturb_spikes(self, lead, window):
        """Round `lead`."""
        step = window / 2**self.bits
        return straight_through(lead, ops.round(lead / step) * step)

    def get_config(self):
        return {**super().get_config(), "bits": self.bits}
