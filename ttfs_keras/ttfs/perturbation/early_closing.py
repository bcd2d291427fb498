"""Neurons that stop firing before their window ends."""

from typing import Any

import keras
from keras import ops

from ttfs_keras.ttfs.perturbation.perturbation import Perturbation


@keras.saving.register_keras_serializable(package="ttfs_keras")
class EarlyClosing(Perturbation):
    """Neurons stop firing a time before their window's end: lead times up to it are silence.

        x <- x where x > threshold, else 0        `ReLU(threshold=...)`; its gradient is that of the spikes that remain

    Args:
        threshold: in window time, > 0.

    Raises:
        ValueError: threshold is not positive.

    Example:
        >>> tk.ttfs.EarlyClosing(0.5).perturb_spikes(tf.constant([[0.4, 0.6]]), 1.0).numpy().round(1).tolist()
        [[0.0, 0.6000000238418579]]
    """

    def __init__(self, threshold: float, **kwargs: Any):
        super().__init__(**kwargs)
        if not threshold > 0:
            raise ValueError(f"Expected threshold > 0. Received: threshold={threshold}")
        self.threshold = float(threshold)

    def perturb_spikes(self, lead, window):
        """Silence the late spikes of `lead`."""
        return ops.where(lead > self.threshold, lead, ops.zeros_like(lead))

    def get_config(self):
        return {**super().get_config(), "threshold": self.threshold}
