"""Jitter of spike times."""

from typing import Any

import keras
import ml_dtypes
import tensorflow as tf
from keras import ops

from ttfs_keras.network import replicas
from ttfs_keras.ttfs.perturbation.perturbation import Perturbation, straight_through


@keras.saving.register_keras_serializable(package="ttfs_keras")
class SpikeTimeJitter(Perturbation):
    """Gaussian jitter of the times of emitted spikes.

    A silent neuron stays silent, and a spike stays a spike inside its window: the moved time is clipped to it.

    Args:
        stddev: standard deviation, in window time, >= 0.
        seed: int, or None to draw one. Every layer draws its own sequence, which is saved with the weights.

    Raises:
        ValueError: stddev is negative.

    Example:
        >>> jitter = tk.SpikeTimeJitter(0.1, seed=1)
        >>> jitter.build()
        >>> moved = jitter.perturb_spikes(tf.constant([[0.0, 0.5]]), 1.0).numpy()
        >>> bool(moved[0, 0] == 0), bool(0 < moved[0, 1] <= 1)
        (True, True)
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if not stddev >= 0:
            raise ValueError(f"Jitter needs a standard deviation >= 0. Received: stddev={stddev}")
        self.stddev = stddev
        self.seed = replicas.drawn_seed(seed)

    def build(self, input_shape=None):
        self.draws = replicas.draw_counter(self)

    def perturb_spikes(self, lead, window):
        """Move the spikes among `lead`."""
        seed = replicas.next_draw(self.draws, self.seed, self.owner)
        noise = tf.random.stateless_normal(tf.shape(lead), seed, dtype=lead.dtype)
        smallest = window * float(ml_dtypes.finfo(lead.dtype.as_numpy_dtype).eps)
        moved = ops.minimum(ops.maximum(lead + self.stddev * noise, smallest), window)
        return straight_through(lead, ops.where(lead > 0, moved, lead))

    def get_config(self):
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}
