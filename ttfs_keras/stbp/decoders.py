"""From the last layer's sequence to one output per class, for every number of steps at once."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops


class Decoder(keras.layers.Layer):
    """Base: read a sequence at its end.

    Shapes: `(batch, time, classes)` to `(batch, classes)`.
    """

    def prefixes(self, sequence):
        """Return `(batch, time, classes)`: what would be read if the sequence ended with each of its steps."""
        raise NotImplementedError  # abstract

    def call(self, sequence):
        return self.prefixes(sequence)[:, -1]

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *input_shape[2:])


@keras.saving.register_keras_serializable(package="ttfs_keras")
class MeanOverTime(Decoder):
    """The mean over time: of logits, or, behind a `LIF`, of spikes, which is their rate in [0, 1].

    Shapes: `(batch, time, classes)` to `(batch, classes)`.

    Example:
        >>> stbp.MeanOverTime()(np.array([[[1.0, 0.0], [0.0, 0.0]]])).numpy().tolist()
        [[0.5, 0.0]]
    """

    def prefixes(self, sequence):
        """Return the mean of the first 1, 2, ... T steps."""
        steps = tf.range(1, sequence.shape[1] + 1)
        return tf.cumsum(sequence, axis=1) / ops.cast(steps, sequence.dtype)[:, None]


@keras.saving.register_keras_serializable(package="ttfs_keras")
class LastPotential(Decoder):
    """The last potential of neurons without threshold.

        u[t] = decay u[t-1] + x[t]

    Args:
        decay: share of the potential that is left after a step, in [0, 1].

    Raises:
        ValueError: decay is outside [0, 1].

    Example:
        >>> stbp.LastPotential(decay=0.5)(np.array([[[1.0, 0.0], [0.0, 2.0]]])).numpy().tolist()
        [[0.5, 2.0]]
    """

    def __init__(self, decay: float = 0.25, **kwargs: Any):
        super().__init__(**kwargs)
        if not 0 <= decay <= 1:
            raise ValueError(f"{self.name}: expected decay in [0, 1]. Received: decay={decay}")
        self.decay = float(decay)

    def prefixes(self, sequence):
        """Return the potential of every step."""
        first, *rest = tf.unstack(sequence, axis=1)
        steps = [first]
        for x in rest:
            steps.append(self.decay * steps[-1] + x)
        return tf.stack(steps, axis=1)

    def get_config(self):
        return {**super().get_config(), "decay": self.decay}
