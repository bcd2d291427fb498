"""Imperfections of hardware, composed into TTFS layers: spike-time jitter, coarse times, coarse weights.

Each is a small Keras layer with two hooks, `perturb_weights` and `perturb_spikes`, that a TTFS layer calls in training
and in evaluation alike. All gradients are straight-through: the rounded or moved value goes forward, the gradient
passes as if nothing had happened (Bengio et al., arXiv 1308.3432).
"""

import random
import zlib

import keras
import ml_dtypes
import tensorflow as tf
from keras import ops


@tf.custom_gradient
def straight_through(exact, perturbed):
    """Return `perturbed` forward, to the bit, and the gradient of `exact` backward; both of the same shape."""
    return tf.identity(perturbed), lambda upstream: (upstream, None)


class Perturbation(keras.layers.Layer):
    """Base of all perturbations: changes nothing.

    Attributes:
        owner: name of the layer that holds it, set by `get`.
    """

    owner = ""

    def perturb_weights(self, weights, offsets):
        """Return synaptic weights `(..., inputs, neurons)` and threshold offsets `(..., neurons)` or None."""
        return weights, offsets

    def perturb_spikes(self, lead, window):
        """Return lead times `(batch, ..., neurons)` of a window of width `window`, in window time."""
        return lead


@keras.saving.register_keras_serializable(package="ttfs_keras")
class SpikeTimeJitter(Perturbation):
    """Gaussian jitter of the times of emitted spikes.

    A silent neuron stays silent, and a spike stays a spike inside its window: the moved time is clipped to it.

    Args:
        stddev: standard deviation, in window time, >= 0.
        seed: int, or None to draw one. Every layer draws its own sequence, which is saved with the weights.

    Raises:
        ValueError: stddev is negative.
    """

    def __init__(self, stddev, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not stddev >= 0:
            raise ValueError(f"Jitter needs a standard deviation >= 0. Received: stddev={stddev}")
        self.stddev = stddev
        self.seed = random.randrange(2**31) if seed is None else seed

    def build(self, input_shape=None):
        """Create the counter of draws."""
        self.draws = self.add_weight(
            name="draws", shape=(), dtype="int32", initializer="zeros", trainable=False,
            aggregation="only_first_replica",
        )  # fmt: skip

    def perturb_spikes(self, lead, window):
        """Move the spikes among `lead`."""
        context = tf.distribute.get_replica_context()
        replica = 0 if context is None else context.replica_id_in_sync_group
        draw = tf.convert_to_tensor(self.draws)
        self.draws.assign(draw + 1)
        # The owner sets layers apart that were given the same seed.
        stream = zlib.crc32(self.owner.encode()) & 0x7FFFFFFF
        seed = tf.random.fold_in(tf.random.fold_in(tf.stack([self.seed, stream]), draw), replica)
        noise = tf.random.stateless_normal(tf.shape(lead), seed, dtype=lead.dtype)
        smallest = window * float(ml_dtypes.finfo(lead.dtype.as_numpy_dtype).eps)
        moved = ops.minimum(ops.maximum(lead + self.stddev * noise, smallest), window)
        return straight_through(lead, ops.where(lead > 0, moved, lead))

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


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
        self.bits = _bits(bits)

    def perturb_spikes(self, lead, window):
        """Round `lead`."""
        step = window / 2**self.bits
        return straight_through(lead, ops.round(lead / step) * step)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "bits": self.bits}


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
    """

    def __init__(self, bits, w_min=-1.0, w_max=1.0, per_channel=False, **kwargs):
        super().__init__(**kwargs)
        self.bits = _bits(bits)
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
        """Return the constructor's arguments."""
        config = {"bits": self.bits, "w_min": self.w_min, "w_max": self.w_max, "per_channel": self.per_channel}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="ttfs_keras")
class EarlyClosing(Perturbation):
    """Neurons stop firing a time before their window's end: lead times up to it are silence.

        x <- x where x > threshold, else 0        `ReLU(threshold=...)`; its gradient is that of the spikes that remain

    Args:
        threshold: in window time, > 0.

    Raises:
        ValueError: threshold is not positive.
    """

    def __init__(self, threshold, **kwargs):
        super().__init__(**kwargs)
        if not threshold > 0:
            raise ValueError(f"Expected threshold > 0. Received: threshold={threshold}")
        self.threshold = float(threshold)

    def perturb_spikes(self, lead, window):
        """Silence the late spikes of `lead`."""
        return ops.where(lead > self.threshold, lead, ops.zeros_like(lead))

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "threshold": self.threshold}


def _bits(bits):
    if bits != int(bits) or not 1 <= bits <= 24:
        raise ValueError(f"Expected a whole number of bits from 1 to 24. Received: bits={bits}")
    return int(bits)


def get(identifier, owner):
    """Return a list of new perturbations from None, a perturbation, a serialized one, or a sequence of them.

    Copies, so that one object can be given to many layers.

    Args:
        identifier: as above.
        owner: name of the layer that will hold them.

    Raises:
        ValueError: an entry is something else.
    """
    if identifier is None:
        return []
    found = []
    for item in identifier if isinstance(identifier, list | tuple) else [identifier]:
        if isinstance(item, Perturbation):
            item = type(item).from_config(item.get_config())
        elif isinstance(item, dict):
            item = keras.saving.deserialize_keras_object(item)
        if not isinstance(item, Perturbation):
            raise ValueError(f"perturbation: expected None, Perturbation layers or a list of them. Received: {item!r}")
        item.owner = owner
        found.append(item)
    return found


def serialize(perturbations):
    """Return the configuration of a list of perturbations, as `get` takes it."""
    configs = [keras.saving.serialize_keras_object(item) for item in perturbations]
    # Their state is built by the layer that holds them.
    return [{key: value for key, value in config.items() if key != "build_config"} for config in configs]
