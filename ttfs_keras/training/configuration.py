"""What a run is asked to do: one field a command-line flag."""

import importlib.util
import math
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from ttfs_keras.data import names
from ttfs_keras.errors import ConfigurationError
from ttfs_keras.models.bats import EXPERIMENTS
from ttfs_keras.stbp.settings import DECODERS
from ttfs_keras.stbp.surrogates import BY_NAME
from ttfs_keras.training.recipes import RECIPES


def _flag(default, text, **metadata):
    return field(default=default, metadata={"help": text, **metadata})


@dataclass(frozen=True)
class Configuration:
    """Settings of a run; field names and defaults are those of the command line, `help` in each field's metadata."""

    model_type: str = _flag("SNN", "network to train", values=("SNN", "ReLU", "BATS", "STBP"))
    model_name: str = _flag(
        "FC2",
        "names the run folder, and has the network in it: FC2, VGG or custom (a loaded model), BN for batch norm; "
        f"or ResNet9 or ResNet19, as for STBP; BATS: {', '.join(EXPERIMENTS)}",
    )
    data_name: str = _flag("DIGITS", "data set", values=names())
    data_dir: str | None = _flag(None, "folder with the data set's files")
    logging_dir: str = _flag("logs", "folder of the run folders <data>-<model>")
    lr: float | None = _flag(None, "learning rate; default: the network's")
    batch_size: int | None = _flag(None, "images per training step; default: the network's")
    epochs: int | None = _flag(None, "passes over the training data; default: the network's")
    testing: bool = _flag(True, "measure on the test images before and after training; False: on the training images")
    load: str = _flag(
        "False",
        "True: the model saved in the run folder, for SNN the ReLU one; or a .keras, .weights.h5 or Keras-2 .h5 file; "
        "BATS: or a best_model folder",
    )
    save: bool = _flag(False, "save the trained model as <model_type>.keras in the run folder")
    noise: float = _flag(0.0, "standard deviation of the jitter of spike times, in window time", only=("SNN",))
    time_bits: int = _flag(0, "2**bits time steps a window; 0: continuous time", only=("SNN",))
    weight_bits: int = _flag(0, "2**bits levels of weights and threshold offsets; 0: continuous", only=("SNN",))
    w_min: float = _flag(-1.0, "lowest level of quantized weights", only=("SNN",))
    w_max: float = _flag(1.0, "highest level of quantized weights", only=("SNN",))
    weight_per_channel: bool = _flag(
        False, "range of quantized weights per neuron instead of [w_min, w_max]", only=("SNN",)
    )
    latency_quantiles: float = _flag(
        0.0, "windows from this quantile of activations, without margin; 0: from the maximum", only=("SNN",)
    )
    margin: float = _flag(0.5, "room of a window above the largest activation, as a share of it", only=("SNN",))
    units: int = _flag(340, "neurons of a hidden layer of FC2")
    depth: int = _flag(2, "layers with weights of FC2")
    recovery: float | None = _flag(
        None, "weight of the loss that brings silent output neurons back; default: the network's", only=("BATS",)
    )
    scaling: float = _flag(0.0, "share that the weights of silent neurons gain after each epoch", only=("BATS",))
    time_steps: int | None = _flag(None, "time steps T; default of these and the next: the preset's", only=("STBP",))
    threshold: float | None = _flag(None, "of the membrane potential", only=("STBP",))
    decay: float | None = _flag(None, "share of the potential left after a step", only=("STBP",))
    surrogate: str | None = _flag(None, "derivative of a spike", only=("STBP",), values=tuple(BY_NAME))
    width: float | None = _flag(None, "of the surrogate", only=("STBP",))
    alpha: float | None = _flag(None, "scale of batch norms whose outputs join", only=("STBP",))
    encoder: str | None = _flag(
        None, "of images into spikes", only=("STBP",), values=("direct", "bernoulli", "latency")
    )
    decoder: str | None = _flag(
        None, "what is read: mean of the logits, rate of spikes, membrane", only=("STBP",), values=DECODERS
    )
    preset: str = _flag("default", "settings of neurons and network", only=("STBP",), values=("default", "seed"))
    lr_schedule: str = _flag(
        "step", "rate times 0.1 after lr_drops, or a cosine", only=("STBP",), values=("step", "cosine")
    )
    lr_drops: str = _flag("10", "epochs, separated by commas, after which the rate falls", only=("STBP",))
    validation: float = _flag(
        0.1, "share of the training images held out to choose the best weights by", only=("STBP",)
    )
    shift: int = _flag(0, "move training images by up to so many pixels", only=("STBP",))
    flip: bool = _flag(False, "mirror half of the training images; not for digits", only=("STBP",))
    patience: int | None = _flag(
        None, "stop after so many epochs without a better one and restore that; 0: never; default: the network's"
    )
    tensorboard: bool = _flag(False, "write for TensorBoard, which the extra [tensorboard] installs")
    train_samples: int | None = _flag(None, "use only the first training images")
    test_samples: int | None = _flag(None, "use only the first test images")
    dtype: str = _flag("float32", "of weights and lead times", values=("float32", "float64"))
    seed: int = _flag(0, "of initial weights, order of images and jitter")
    resume: bool = _flag(False, "go on where the run folder's interrupted run stopped")

    @property
    def folder(self):
        """The run folder."""
        return Path(self.logging_dir) / f"{self.data_name}-{self.model_name}"

    @property
    def load_path(self):
        """The file to load, or None."""
        if self.load.lower() in ("", "false"):
            return None
        if self.load.lower() == "true":
            return self.folder / f"{'ReLU' if self.model_type == 'SNN' else self.model_type}.keras"
        path = Path(self.load)
        return path if path.exists() or path.parent != Path() else Path(self.logging_dir) / path

    def resolved(self):
        """Return a copy with the network's own settings where none were given."""
        own = RECIPES[self.model_type].settings(self)
        return replace(self, **{name: value for name, value in own.items() if getattr(self, name) is None})

    def validate(self):
        """Check all settings together.

        Raises:
            ConfigurationError: lists every setting that cannot work.
        """
        problems = []

        def expect(holds, name, what):
            if not holds:
                problems.append(f"{name}: expected {what}. Received: {getattr(self, name)!r}")

        for item in fields(self):
            value = getattr(self, item.name)
            expect(not isinstance(value, float) or math.isfinite(value), item.name, "a finite number")
            values = item.metadata.get("values")
            allowed = values if values is None or item.default is not None else (None, *values)
            expect(allowed is None or value in allowed, item.name, f"one of {values}")
            only = item.metadata.get("only", (self.model_type,))
            idle = self.model_type in only or not value or value == item.default
            expect(idle, item.name, f"none with model_type {self.model_type}, it acts with {', '.join(only)} only")
        recipe = RECIPES.get(self.model_type)
        if recipe is not None:
            try:
                recipe.settings(self)
            except ConfigurationError as error:
                problems.append(str(error))
            problems += recipe.problems(self)
        expect("/" not in self.model_name, "model_name", "a name without '/'")
        for name in ("batch_size", "units", "depth", "train_samples", "test_samples"):
            expect(getattr(self, name) is None or getattr(self, name) >= 1, name, "at least 1")
        for name in ("epochs", "noise", "margin", "seed", "recovery", "scaling", "patience", "shift"):
            expect(getattr(self, name) is None or getattr(self, name) >= 0, name, "at least 0")
        for name in ("time_bits", "weight_bits"):
            expect(0 <= getattr(self, name) <= 24, name, "0 to 24")
        expect(self.lr is None or self.lr > 0, "lr", "a positive rate")
        expect(self.w_min <= 0, "w_min", "at most 0")
        expect(self.w_max >= 0 and self.w_max > self.w_min, "w_max", "at least 0 and above w_min")
        expect(0 <= self.latency_quantiles <= 1, "latency_quantiles", "0 to 1")
        if self.tensorboard and importlib.util.find_spec("tensorboard") is None:
            problems.append(
                "tensorboard: expected it to be installed, pip install 'ttfs-keras[tensorboard]'. Received: it is not"
            )
        if self.load_path is not None and not self.load_path.exists():
            problems.append(f"load: expected a file at {self.load_path}. Received: {self.load!r}, and there is none")
        if problems:
            raise ConfigurationError("This run cannot start:\n  " + "\n  ".join(problems))
