"""Surrogate gradients: what takes the place of the derivative of the step `o = 1(u > V_th)`.

Each is a density phi of area 1 around the threshold, so that its antiderivative rises from 0 to 1 and is a smooth twin
of the step. Widths are comparable: every one of them holds the step's whole height, the narrower the higher.
"""

import math
from typing import Any

import keras
import tensorflow as tf

__all__ = ["Arctan", "Custom", "FastSigmoid", "Rectangle", "Shifted", "Sigmoid", "Surrogate", "Triangle", "get"]

BY_NAME: dict[str, type["Surrogate"]] = {}


def __dir__() -> list[str]:
    return __all__


class Surrogate:
    """Base: the step and its surrogate derivative; subclasses define `derivative` and may define `antiderivative`.

    Shapes: overdrives v = u - V_th `(...)` to values of the same shape.

    Args:
        width: in units of the potential, > 0.

    Raises:
        ValueError: width is not positive.

    Example:
        >>> class Box(stbp.surrogates.Surrogate):
        ...     def derivative(self, overdrive):
        ...         return tf.cast(abs(overdrive) < self.width, overdrive.dtype) / (2 * self.width)
        >>> stbp.LIF(surrogate=Box(0.5)).surrogate.inside(tf.constant([0.2, 0.7])).numpy().tolist()
        [True, False]
    """

    center = 0.0  # where phi is highest

    def __init__(self, width: float = 1.0):
        if not 0 < width < math.inf:
            raise ValueError(f"{type(self).__name__}: expected width > 0. Received: width={width}")
        self.width = float(width)

    def fire(self, overdrive: tf.Tensor) -> tf.Tensor:
        """Return the spikes, 1 where v > 0, else 0; NaN where v is NaN."""
        # A comparison would make NaN 0, and takes more than twice as long.
        return tf.math.ceil(tf.clip_by_value(overdrive, 0, 1))

    def derivative(self, overdrive: tf.Tensor) -> tf.Tensor:
        """Return phi(v), which takes the place of do/du."""
        raise NotImplementedError  # abstract

    def antiderivative(self, overdrive: tf.Tensor) -> tf.Tensor:
        """Return the integral of phi from -inf to v, the smooth twin of `fire`."""
        raise NotImplementedError(f"{type(self).__name__} does not define its antiderivative")

    def inside(self, overdrive: tf.Tensor) -> tf.Tensor:
        """Return whether phi is more than half as high as at its peak, boolean; |v| < width/2 for a rectangle."""
        peak = self.derivative(tf.constant(self.center, overdrive.dtype))
        return self.derivative(overdrive) > peak / 2

    def get_config(self):
        return {"width": self.width}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _known_as(name):
    def register(cls):
        BY_NAME[name] = keras.saving.register_keras_serializable(package="ttfs_keras")(cls)
        return cls

    return register


@_known_as("rectangle")
class Rectangle(Surrogate):
    """phi(v) = 1/w where |v| < w/2, else 0. Source: Wu et al. (2018), Frontiers in Neuroscience 12:331.

    Example:
        >>> stbp.surrogates.Rectangle(0.5).derivative(tf.constant([-1.0, 0.1, 0.3])).numpy().tolist()
        [0.0, 2.0, 0.0]
    """

    def derivative(self, overdrive: tf.Tensor) -> tf.Tensor:
        return tf.cast(abs(overdrive) < self.width / 2, overdrive.dtype) / self.width

    def antiderivative(self, overdrive: tf.Tensor) -> tf.Tensor:
        """Return clip(v/w + 1/2, 0, 1)."""
        return tf.clip_by_value(overdrive / self.width + 0.5, 0, 1)


@_known_as("triangle")
class Triangle(Surrogate):
    """phi(v) = max(1 - |v|/w, 0)/w.

    Example:
        >>> stbp.surrogates.Triangle().derivative(tf.constant([-0.5, 0.0, 2.0])).numpy().tolist()
        [0.5, 1.0, 0.0]
    """

    def derivative(self, overdrive: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(1 - abs(overdrive) / self.width) / self.width

    def antiderivative(self, overdrive: tf.Tensor) -> tf.Tensor:
        """Return 1/2 + s - s|s|/2 for s = clip(v/w, -1, 1)."""
        s = tf.clip_by_value(overdrive / self.width, -1, 1)
        return 0.5 + s - s * abs(s) / 2


@_known_as("sigmoid")
class Sigmoid(Surrogate):
    """phi(v) = s (1 - s)/w for s = 1/(1 + exp(-v/w)).

    Example:
        >>> stbp.surrogates.Sigmoid(0.5).derivative(tf.constant([0.0])).numpy().tolist()
        [0.5]
    """

    def derivative(self, overdrive: tf.Tensor) -> tf.Tensor:
        s = tf.sigmoid(overdrive / self.width)
        return s * (1 - s) / self.width

    def antiderivative(self, overdrive: tf.Tensor) -> tf.Tensor:
        """Return 1/(1 + exp(-v/w))."""
        return tf.sigmoid(overdrive / self.width)


@_known_as("arctan")
class Arctan(Surrogate):
    """phi(v) = 1/(w (1 + (pi v/w)^2)).

    Example:
        >>> stbp.surrogates.Arctan(2.0).derivative(tf.constant([0.0])).numpy().tolist()
        [0.5]
    """

    def derivative(self, overdrive: tf.Tensor) -> tf.Tensor:
        return 1 / (self.width * (1 + (math.pi * overdrive / self.width) ** 2))

    def antiderivative(self, overdrive: tf.Tensor) -> tf.Tensor:
        """Return 1/2 + arctan(pi v/w)/pi."""
        return 0.5 + tf.atan(math.pi * overdrive / self.width) / math.pi


@_known_as("fast_sigmoid")
class FastSigmoid(Surrogate):
    """phi(v) = 1/(2 w (1 + |v|/w)^2), the SuperSpike of Zenke and Ganguli (2018), scaled to area 1.

    Example:
        >>> stbp.surrogates.FastSigmoid().derivative(tf.constant([-1.0, 0.0, 1.0])).numpy().tolist()
        [0.125, 0.5, 0.125]
    """

    def derivative(self, overdrive: tf.Tensor) -> tf.Tensor:
        return 0.5 / (self.width * (1 + abs(overdrive) / self.width) ** 2)

    def antiderivative(self, overdrive: tf.Tensor) -> tf.Tensor:
        """Return 1/2 + v/(2 (w + |v|))."""
        return 0.5 + 0.5 * overdrive / (self.width + abs(overdrive))


@keras.saving.register_keras_serializable(package="ttfs_keras")
class Shifted(Surrogate):
    """phi(v - shift) of another surrogate, whose peak then lies off the threshold.

    `Shifted(Rectangle(1.0), -threshold)` is the window |u| < 1/2 of code that forgot to subtract the threshold.

    Args:
        surrogate: a `Surrogate`.
        shift: distance of the peak from the threshold, in units of the potential.

    Example:
        >>> shifted = stbp.surrogates.Shifted(stbp.surrogates.Rectangle(1.0), -0.5)
        >>> shifted.derivative(tf.constant([-0.9, 0.1])).numpy().tolist()
        [1.0, 0.0]
    """

    def __init__(self, surrogate: Any, shift: float):
        self.surrogate = get(surrogate)
        super().__init__(self.surrogate.width)
        self.shift = float(shift)
        self.center = self.surrogate.center + self.shift

    def derivative(self, overdrive: tf.Tensor) -> tf.Tensor:
        """Return phi(v - shift)."""
        return self.surrogate.derivative(overdrive - self.shift)

    def antiderivative(self, overdrive: tf.Tensor) -> tf.Tensor:
        """Return the antiderivative at v - shift."""
        return self.surrogate.antiderivative(overdrive - self.shift)

    def get_config(self):
        return {"surrogate": keras.saving.serialize_keras_object(self.surrogate), "shift": self.shift}


@keras.saving.register_keras_serializable(package="ttfs_keras")
class Custom(Surrogate):
    """A density of the user's own, phi(v) = function(v, width), highest at v = 0.

    Args:
        function: of a tensor and the width, written with TensorFlow. To be loaded again it must be registered with
            `keras.saving.register_keras_serializable`.
        width: in units of the potential, > 0.

    Example:
        >>> gaussian = stbp.surrogates.Custom(lambda v, w: tf.exp(-((v / w) ** 2)) / w)
        >>> gaussian.derivative(tf.constant([0.0])).numpy().tolist()
        [1.0]
    """

    def __init__(self, function: Any, width: float = 1.0):
        super().__init__(width)
        saved = isinstance(function, dict)
        self.function = keras.saving.deserialize_keras_object(function) if saved else function

    def derivative(self, overdrive: tf.Tensor) -> tf.Tensor:
        return self.function(overdrive, self.width)

    def get_config(self):
        return {**super().get_config(), "function": keras.saving.serialize_keras_object(self.function)}


def get(identifier: Any, width: float = 1.0) -> Surrogate:
    """Return a surrogate.

    Args:
        identifier: a name, a `Surrogate` or a serialized one, or a function of (v, width).
        width: of a name or a function; a `Surrogate` has its own.

    Raises:
        ValueError: identifier is none of these; the message lists the names.

    Example:
        >>> stbp.surrogates.get("triangle", width=0.5).width
        0.5
    """
    if isinstance(identifier, str) and identifier in BY_NAME:
        return BY_NAME[identifier](width)
    surrogate = keras.saving.deserialize_keras_object(identifier) if isinstance(identifier, dict) else identifier
    if isinstance(surrogate, Surrogate):
        return surrogate
    if callable(surrogate):
        return Custom(surrogate, width)
    raise ValueError(
        f"surrogate: expected one of {', '.join(map(repr, BY_NAME))}, a Surrogate, or a function of (overdrive, "
        f"width). Received: {identifier!r}"
    )
