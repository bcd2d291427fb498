"""The leaky integrate-and-fire layer."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from ttfs_keras import arguments
from ttfs_keras.constraints import Between
from ttfs_keras.stbp import surrogates
from ttfs_keras.stbp.sequence import RESETS, lif_sequence, potentials
from ttfs_keras.stbp.step_spikes import StepSpikes
from ttfs_keras.stbp.time import check_sequence


@keras.saving.register_keras_serializable(package="ttfs_keras")
class LIF(StepSpikes, keras.layers.Layer):
    """Leaky integrate-and-fire neurons over time, trained through a surrogate gradient; see `lif_sequence`.

        u[t] = decay u[t-1] (1 - o[t-1]) + x[t],  o[t] = 1(u[t] > threshold)        (reset="zero")
        u[t] = decay (u[t-1] - threshold o[t-1]) + x[t]                             (reset="subtract")

    Shapes: inputs `(batch, time, features)` or `(batch, time, height, width, channels)`, in units of the potential, to
    spikes 0 or 1 of the same shape. Every sequence starts at rest: there is no state to reset.

    Args:
        threshold: V_th > 0, in units of the potential.
        decay: share of the potential that is left after a step, in [0, 1].
        surrogate: "rectangle", "triangle", "sigmoid", "arctan", "fast_sigmoid", a `Surrogate`, or a function of
            (u - threshold, width).
        width: of a surrogate given by its name or as a function, > 0; a `Surrogate` has its own.
        reset: "zero" or "subtract".
        detach_reset: whether the gradient leaves out that a spike resets its neuron.
        trainable_threshold, trainable_decay: whether they are weights, one scalar each, kept in their range.

    Raises:
        ValueError: an argument is outside its range, or the input has no surely known time axis.

    Example:
        >>> stbp.LIF(threshold=0.4, decay=0.25)(np.array([[[0.3], [0.4], [0.3]]])).numpy().tolist()
        [[[0.0], [1.0], [0.0]]]
    """

    def __init__(
        self,
        threshold: float = 0.4,
        decay: float = 0.25,
        surrogate: Any = "rectangle",
        width: float = 1.0,
        reset: str = "zero",
        detach_reset: bool = False,
        trainable_threshold: bool = False,
        trainable_decay: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        problems = [
            *(["threshold > 0, a number"] if not arguments.positive(threshold) else []),
            *(["decay in [0, 1], a number"] if not (arguments.finite(decay, 0) and decay <= 1) else []),
            *([f"reset one of {', '.join(map(repr, RESETS))}"] if reset not in RESETS else []),
        ]
        if problems:
            raise ValueError(
                f"{self.name}: expected {' and '.join(problems)}. "
                f"Received: threshold={threshold}, decay={decay}, reset={reset!r}"
            )
        self.threshold = float(threshold)
        self.decay = float(decay)
        self.surrogate = surrogates.get(surrogate, width)
        self.width = self.surrogate.width
        self.reset = reset
        self.detach_reset = detach_reset
        self.trainable_threshold = trainable_threshold
        self.trainable_decay = trainable_decay

    def build(self, input_shape):
        check_sequence(self, input_shape)
        # A threshold of a thousandth of its initial value is as good as none, and still one.
        lowest = self.threshold / 1000
        self.threshold_weight = self._scalar("threshold", self.trainable_threshold, Between(lowest))
        self.decay_weight = self._scalar("decay", self.trainable_decay, Between(0.0, 1.0))

    def _scalar(self, name, trainable, constraint):
        if not trainable:
            return None
        value = getattr(self, name)
        # `keras.initializers.Constant` would round it to float32.
        return self.add_weight(
            name=name, shape=(), constraint=constraint, initializer=lambda shape, dtype: ops.full(shape, value, dtype)
        )

    def parameters(self, dtype):
        """Return the present threshold and decay, scalar tensors."""
        weights = self.threshold_weight, self.decay_weight
        values = self.threshold, self.decay
        return tuple(
            tf.constant(value, dtype) if weight is None else ops.cast(weight, dtype)
            for weight, value in zip(weights, values, strict=True)
        )

    def call(self, inputs):
        threshold, decay = self.parameters(inputs.dtype)
        return lif_sequence(inputs, threshold, decay, self.surrogate, self.reset, self.detach_reset)

    def potentials(self, inputs):
        """Return the potentials u of every step, of the shape of the inputs."""
        threshold, decay = self.parameters(inputs.dtype)
        steps = potentials(inputs, threshold, decay, self.surrogate.fire, self.reset)
        return tf.stack(steps, axis=1)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "threshold": self.threshold,
            "decay": self.decay,
            "surrogate": keras.saving.serialize_keras_object(self.surrogate),
            "width": self.width,
            "reset": self.reset,
            "detach_reset": self.detach_reset,
            "trainable_threshold": self.trainable_threshold,
            "trainable_decay": self.trainable_decay,
        }
