"""What a run is asked to do: one field a command-line flag."""

import importlib.util
import math
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ttfs_keras.data import names
from ttfs_keras.errors import ConfigurationError
from ttfs_keras.stbp.settings import DECODERS
from ttfs_keras.stbp.surrogates import BY_NAME
from ttfs_keras.training.experiments import BATS, Experiment, experiment
from ttfs_keras.training.problems import PROBLEMS

SPARSITY = {"sparsity": 5.0, "target_spikes": 0.3}  # where one of the two is given, the other is this

_TTFS = {"only": ("SNN", "ReLU")}
_SNN, _BATS, _STBP = {"only": ("SNN",)}, {"only": ("BATS",)}, {"only": ("STBP",)}


def _flag(default: Any, text: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": text, **metadata})


@dataclass(frozen=True)
class Configuration:
    """Settings of a run; field names and defaults are those of the command line.

    Each field's metadata has `help`, and where they apply `values` (all that are allowed), `least` (the least number
    allowed) and `only` (the types of model that it acts on).

    Example:
        >>> from ttfs_keras.training.configuration import Configuration
        >>> Configuration(model_type="BATS", model_name="spike_count").resolved().epochs
        100
    """

    model_type: str = _flag(
        "SNN",
        "kind of network: SNN, a time-to-first-spike network mapped from a ReLU network; ReLU, such a ReLU network; "
        "BATS, a multi-spike network trained with exact gradients; STBP, a network of discrete time steps trained with "
        "surrogate gradients",
        values=("SNN", "ReLU", "BATS", "STBP"),
    )
    model_name: str = _flag(
        "FC2",
        "name of the run folder; its parts between underscores name the network, in any case. SNN and ReLU: FC2 or "
        "VGG, with BN for batch norm, ResNet9 or ResNet19 (the ReLU twins of STBP's), or custom (any network, given by "
        f"--load). STBP: ResNet9 or ResNet19. BATS: {', '.join(BATS)}. Examples: VGG_BN_example, FC2_example_train",
    )
    data_name: str = _flag(
        "DIGITS",
        "data set; DIGITS comes with the package, YINYANG is generated, the others are read or downloaded",
        values=names(),
    )
    data_dir: str | None = _flag(
        None, "folder with the data set's files; default: the usual folders are searched, then it is downloaded"
    )
    logging_dir: str = _flag("logs", "folder in which the run folder <data_name>-<model_name> is created")
    lr: float | None = _flag(
        None, "learning rate of the first training step; default: the network's own, such as 5e-4 for FC2"
    )
    batch_size: int | None = _flag(
        None, "images of a training step; default: the network's own, 8 for SNN and ReLU", least=1
    )
    epochs: int | None = _flag(
        None,
        "passes over the training images; 0 measures without training; default: the network's own, 20 for SNN and ReLU",
        least=0,
    )
    testing: bool = _flag(
        True, "measure the network before and after training on the test images; False: on the training images"
    )
    load: str = _flag(
        "False",
        "weights to start from. False: new, random ones. True: the model that an earlier run saved in this run folder, "
        "for SNN the ReLU model. Or a file: .keras; .weights.h5 (not STBP); an .h5 of Keras 2 (SNN and ReLU); for BATS "
        "also a best_model folder. A bare file name that does not exist here is looked up in --logging_dir",
    )
    save: bool = _flag(False, "save the trained network as <model_type>.keras in the run folder")
    noise: float = _flag(
        0.0,
        "standard deviation of the Gaussian jitter of spike times, in window time (the unit "
        "in which window widths are given); 0: no jitter",
        **_SNN,
        least=0,
    )
    time_bits: int = _flag(
        0, "spike times of a layer are rounded to 2**time_bits steps in its window; 0: not rounded", **_SNN, least=0
    )
    weight_bits: int = _flag(
        0,
        "weights and threshold offsets (biases) are rounded to 2**weight_bits levels; 0: not rounded",
        **_SNN,
        least=0,
    )
    w_min: float = _flag(-1.0, "lowest level of rounded weights, at most 0; acts with --weight_bits", **_SNN)
    w_max: float = _flag(1.0, "highest level of rounded weights, at least 0; acts with --weight_bits", **_SNN)
    weight_per_channel: bool = _flag(
        False,
        "the levels of rounded weights span the weights of each neuron or filter instead of w_min to w_max; acts with "
        "--weight_bits",
        **_SNN,
    )
    latency_quantiles: float = _flag(
        0.0,
        "a layer's window is as wide as this quantile (0 to 1) of its activations on the training images, without "
        "--margin: larger activations saturate, and the network answers earlier. 0: from the largest one",
        **_SNN,
    )
    margin: float = _flag(
        0.5,
        "a layer's window is wider than its largest activation on the training images by this share of it; 0.5: half",
        **_SNN,
        least=0,
    )
    sparsity: float | None = _flag(
        None,
        "strength of the penalty of spikes per neuron above --target_spikes, a part of the training loss; of a ReLU "
        "network, of activations above 0, the spikes once it is mapped; default: none, with --target_spikes "
        f"{SPARSITY['sparsity']:g}",
        **_TTFS,
        least=0,
    )
    target_spikes: float | None = _flag(
        None,
        "spikes per neuron, a mean over the network and the images of a step, at and below which there is no penalty, "
        f"0 to 1; default: with --sparsity {SPARSITY['target_spikes']:g}",
        **_TTFS,
        least=0,
    )
    event_driven: bool = _flag(
        False,
        "time event-driven inference of the trained network, one image at a time, beside the ReLU network that it was "
        "mapped from; into the card and the log",
        **_SNN,
    )
    units: int = _flag(340, "neurons of each hidden layer of FC2", least=1)
    depth: int = _flag(2, "dense layers of FC2, the output layer included", least=1)
    recovery: float | None = _flag(
        None,
        "strength of the silent-neuron regularizer of the output layer, which raises the membrane potential of neurons "
        "that do not spike; 0: none; default: the network's own, 1",
        **_BATS,
        least=0,
    )
    scaling: float = _flag(
        0.0,
        "share by which the weights of neurons that no training image made spike grow after an epoch, 0.05: by 5 %; 0: "
        "they do not",
        **_BATS,
        least=0,
    )
    time_steps: int | None = _flag(
        None, "time steps for which an image is shown; default: the preset's, 2", **_STBP, least=1
    )
    threshold: float | None = _flag(
        None,
        "firing threshold of the LIF neurons, in units of the membrane potential, above 0; default: the preset's, 0.4",
        **_STBP,
    )
    decay: float | None = _flag(
        None,
        "share of a LIF neuron's membrane potential that is left after one time step, 0 to 1; default: the preset's, "
        "0.25",
        **_STBP,
    )
    surrogate: str | None = _flag(
        None,
        "function of potential minus threshold that takes the place of a spike's derivative; default: rectangle, with "
        "preset seed a rectangle around potential 0",
        **_STBP,
        values=tuple(BY_NAME),
    )
    width: float | None = _flag(
        None,
        "width of the surrogate, in units of the membrane potential, above 0; without effect on the seed preset's own "
        "surrogate; default: 1",
        **_STBP,
    )
    alpha: float | None = _flag(
        None,
        "factor of the outputs of batch norms that are added to another branch's, above 0; default: 1/sqrt(2), which "
        "keeps the variance of the sum",
        **_STBP,
    )
    encoder: str | None = _flag(
        None,
        "how an image becomes a sequence of time steps. direct: as a constant current; bernoulli: spikes at random, "
        "with the pixel as probability; latency: one spike, the brighter the earlier; default: direct",
        **_STBP,
        values=("direct", "bernoulli", "latency"),
    )
    decoder: str | None = _flag(
        None,
        "how the output layer is read. mean: mean of its outputs over time; rate: spikes a step of LIF neurons behind "
        "it; membrane: last potential of neurons that do not spike; default: mean, with preset seed rate",
        **_STBP,
        values=DECODERS,
    )
    preset: str = _flag(
        "default",
        "settings of neurons and network that no flag gives; seed: those of the code that this part succeeds, for "
        "comparison",
        **_STBP,
        values=("default", "seed"),
    )
    lr_schedule: str = _flag(
        "step",
        "how the learning rate falls. step: times 0.1 after each epoch of --lr_drops; cosine: along half a cosine to 0 "
        "at the last epoch",
        **_STBP,
        values=("step", "cosine"),
    )
    lr_drops: str = _flag(
        "10",
        "epochs after which the learning rate is multiplied by 0.1, separated by commas, such as 8,10; empty: never; "
        "acts with lr_schedule step",
        **_STBP,
    )
    validation: float = _flag(
        0.1,
        "share of the training images, 0 to below 1, that is not trained on but decides which epoch's weights are the "
        "best; 0: the training loss decides",
        **_STBP,
    )
    shift: int = _flag(
        0, "largest random shift of a training image in either direction, pixels; 0: none", **_STBP, least=0
    )
    flip: bool = _flag(False, "mirror half of the training images left to right; not for digits", **_STBP)
    patience: int | None = _flag(
        None,
        "epochs without improvement after which training stops and the best weights are restored; 0: train all epochs "
        "and keep the last weights; default: the network's own, 7 for STBP, else 0",
        least=0,
    )
    tensorboard: bool = _flag(
        False, "write logs for TensorBoard into the run folder; needs pip install 'ttfs-keras[tensorboard]'"
    )
    train_samples: int | None = _flag(None, "number of training images to use, from the first; default: all", least=1)
    test_samples: int | None = _flag(None, "number of test images to use, from the first; default: all", least=1)
    dtype: str = _flag(
        "float32", "floating-point type of weights, activations and spike times", values=("float32", "float64")
    )
    seed: int = _flag(
        0, "seed of all that is random: initial weights, order of the images, augmentation, jitter", least=0
    )
    resume: bool = _flag(
        False,
        "continue the interrupted run in the run folder, which must have had the same flags, except for --epochs",
    )

    @property
    def folder(self) -> Path:
        """The run folder."""
        return Path(self.logging_dir) / f"{self.data_name}-{self.model_name}"

    @property
    def load_path(self) -> Path | None:
        """The file to load, or None."""
        if self.load.lower() in ("", "false"):
            return None
        if self.load.lower() == "true":
            return self.folder / f"{'ReLU' if self.model_type == 'SNN' else self.model_type}.keras"
        path = Path(self.load)
        return path if path.exists() or path.parent != Path() else Path(self.logging_dir) / path

    @property
    def experiment(self) -> Experiment:
        """The network and the settings it is trained with where no others are given.

        Raises:
            ConfigurationError: the name has no network of this type.
        """
        return experiment(self.model_type, self.model_name, self.data_name)

    @property
    def neuron_settings(self) -> dict[str, Any]:
        """Settings of `ttfs_keras.stbp.Settings` that are given."""
        names = ("time_steps", "threshold", "decay", "surrogate", "width", "alpha", "decoder", "encoder", "dtype")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def drop_epochs(self) -> tuple[int, ...]:
        """Epochs after which the learning rate drops.

        Raises:
            ValueError: `lr_drops` is not a list of whole numbers.
        """
        return tuple(int(epoch) for epoch in self.lr_drops.split(",") if epoch)

    def resolved(self) -> "Configuration":
        """Return a copy with the experiment's own settings where none were given.

        Raises:
            ConfigurationError: the name has no network of this type.
        """
        own = self.experiment
        names = ("lr", "batch_size", "epochs", "patience", "recovery")
        defaults = {name: getattr(own, name) for name in names}
        if any(getattr(self, name) is not None for name in SPARSITY):
            defaults |= SPARSITY
        return replace(self, **{name: value for name, value in defaults.items() if getattr(self, name) is None})

    def validate(self) -> None:
        """Check all settings together.

        Raises:
            ConfigurationError: lists every setting that cannot work.
        """
        problems = []

        def expect(holds: bool, name: str, what: str) -> None:
            if not holds:
                problems.append(f"{name}: expected {what}. Received: {getattr(self, name)!r}")

        for item in fields(self):
            name, value, metadata = item.name, getattr(self, item.name), item.metadata
            expect(not isinstance(value, float) or math.isfinite(value), name, "a finite number")
            expect(not isinstance(value, int) or value < 2**32, name, "a number below 2**32")
            if values := metadata.get("values"):
                expect(value in values or value is item.default is None, name, f"one of {values}")
            if "least" in metadata and value is not None:
                expect(value >= metadata["least"], name, f"at least {metadata['least']}")
            only = metadata.get("only", (self.model_type,))
            idle = self.model_type in only or not value or value == item.default
            expect(idle, name, f"none with model_type {self.model_type}, it acts with {', '.join(only)} only")
        if self.model_type in PROBLEMS:
            try:
                _ = self.experiment
            except ConfigurationError as error:
                problems.append(str(error))
            problems += PROBLEMS[self.model_type](self)
        expect("/" not in self.model_name, "model_name", "a name without '/'")
        for name in ("time_bits", "weight_bits"):
            expect(getattr(self, name) <= 24, name, "at most 24")
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
