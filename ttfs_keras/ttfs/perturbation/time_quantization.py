"""Spike times on a grid."""

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
    """

    def __init__(self, bits, **kwargs):
        super().__init__(**kwargs)
        self.bits = checked_bits(bits)

    def perturb_spikes(self, lead, window):
        """Round `lead`."""
        step = window / 2**self.bits
        return straight_through(lead, ops.round(lead / step) * step)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "bits": self.bits}
