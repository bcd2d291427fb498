"""The settings that the layers of one network share, and their presets."""

import dataclasses
import math
from typing import Any

from keras import layers

from ttfs_keras.network.encoding import checked_range
from ttfs_keras.stbp.decoders import LastPotential, MeanOverTime
from ttfs_keras.stbp.encoders import BernoulliEncoder, DirectEncoder, FirstSpikeEncoder
from ttfs_keras.stbp.lif import LIF
from ttfs_keras.stbp.surrogates import Rectangle, Shifted
from ttfs_keras.stbp.tdbn import ThresholdDependentBatchNormalization
from ttfs_keras.stbp.time import RepeatSteps, check_steps

ENCODERS = ("direct", "bernoulli", "latency", None)
DECODERS = ("mean", "rate", "membrane")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a network.

    Args:
        time_steps: T, at least 1.
        threshold, decay, surrogate, width, reset, detach_reset, trainable_threshold, trainable_decay: of every `LIF`.
        alpha: of every batch norm whose output meets another branch.
        encoder: "direct" (the image as a constant current; what comes before the first neurons is computed once),
            "bernoulli" or "latency", or None for inputs that are sequences already.
        input_range: (p, q), the range of the images, for the encoders "bernoulli" and "latency".
        decoder: "mean" of the last layer's outputs, "rate" of spikes of neurons behind it, or "membrane", the last
            potential of neurons without threshold.
        normalize_identity: whether shortcuts that change no shape carry a batch norm, as the theory demands.
        normalize_hidden: whether the hidden dense layer has a batch norm instead of a bias.
        dtype: of all layers; None for Keras's default.

    Raises:
        ValueError: lists every argument that is outside its range.

    Example:
        >>> stbp.Settings(time_steps=4, threshold=0.5).neurons().threshold
        0.5
    """

    time_steps: int = 2
    threshold: float = 0.4
    decay: float = 0.25
    surrogate: Any = "rectangle"
    width: float = 1.0
    reset: str = "zero"
    detach_reset: bool = False
    trainable_threshold: bool = False
    trainable_decay: bool = False
    alpha: float = 1 / math.sqrt(2)
    encoder: str | None = "direct"
    input_range: tuple[float, float] = (0.0, 1.0)
    decoder: str = "mean"
    normalize_identity: bool = True
    normalize_hidden: bool = True
    dtype: str | None = None

    def __post_init__(self):
        problems = []
        for name, known in (("encoder", ENCODERS), ("decoder", DECODERS)):
            if getattr(self, name) not in known:
                problems.append(f"Expected {name} one of {', '.join(map(repr, known))}. ")
                problems[-1] += f"Received: {getattr(self, name)!r}"
        for check in (
            lambda: check_steps(self.time_steps),
            lambda: checked_range(self.input_range),
            self.neurons,
            lambda: self.norm("norm", self.alpha),
        ):
            try:
                check()
            except ValueError as error:
                problems.append(str(error))
        if problems:
            raise ValueError("\n".join(problems))

    def neurons(self, name="neurons"):
        """Return a new `LIF`."""
        return LIF(
            self.threshold, self.decay, self.surrogate, self.width, self.reset, self.detach_reset,
            self.trainable_threshold, self.trainable_decay, name=name, dtype=self.dtype,
        )  # fmt: skip

    def norm(self, name, alpha=1.0):
        """Return a new batch norm."""
        return ThresholdDependentBatchNormalization(self.threshold, alpha, name=name, dtype=self.dtype)

    def encode(self, x):
        """Return a sequence of an input, which may still be one step long; see `all_steps`."""
        if self.encoder == "bernoulli":
            return BernoulliEncoder(self.time_steps, None, self.input_range, name="encoder", dtype=self.dtype)(x)
        if self.encoder == "latency":
            return FirstSpikeEncoder(self.time_steps, self.input_range, name="encoder", dtype=self.dtype)(x)
        return x if self.encoder is None else DirectEncoder(name="encoder", dtype=self.dtype)(x)

    def all_steps(self, x):
        """Return a sequence of all steps."""
        if self.encoder != "direct":
            return x
        return RepeatSteps(self.time_steps, name="steps", dtype=self.dtype)(x)

    def read_out(self, x, classes):
        """Return logits `(batch, classes)` of a sequence of features."""
        x = layers.Dense(classes, name="readout", dtype=self.dtype)(x)
        if self.decoder == "membrane":
            return LastPotential(self.decay, name="decoder", dtype=self.dtype)(x)
        if self.decoder == "rate":
            x = self.neurons("readout_lif")(x)
        return MeanOverTime(name="decoder", dtype=self.dtype)(x)


def preset(name, **changes):
    """Return the settings of a preset, "default" or "seed", with changes.

    "seed" are those of the code that this part succeeds, kept for comparison: its surrogate's window lies around 0
    instead of the threshold, its identity shortcuts and hidden dense layer have no batch norm, and its logits are
    spike rates, so that the loss cannot fall below -ln(e/(e + 9)) = 1.4612 with ten classes.

    Raises:
        ValueError: the name is unknown, or an argument is outside its range.
    """
    if name == "default":
        return Settings(**changes)
    if name != "seed":
        raise ValueError(f"preset: expected 'default' or 'seed'. Received: {name!r}")
    off_center = Shifted(Rectangle(1.0), -changes.get("threshold", Settings.threshold))
    seed: dict[str, Any] = {
        "surrogate": off_center,
        "decoder": "rate",
        "normalize_identity": False,
        "normalize_hidden": False,
    }
    return Settings(**(seed | changes))
