"""What a run is asked to do: one field a command-line flag."""

from dataclasses import dataclass, field, fields
from pathlib import Path

from ttfs_keras.data import names
from ttfs_keras.errors import ConfigurationError
from ttfs_keras.models.families import parse


def _flag(default, text, **metadata):
    return field(default=default, metadata={"help": text, **metadata})


@dataclass(frozen=True)
class Configuration:
    """Settings of a run; field names and defaults are those of the command line, `help` in each field's metadata."""

    model_type: str = _flag("SNN", "network to train", values=("SNN", "ReLU"))
    model_name: str = _flag(
        "FC2", "any name with FC2, VGG or custom (a loaded model) in it, BN for batch norm; names the run folder"
    )
    data_name: str = _flag("DIGITS", "data set", values=names())
    data_dir: str | None = _flag(None, "folder with the data set's files")
    logging_dir: str = _flag("logs", "folder of the run folders <data>-<model>")
    lr: float | None = _flag(None, "learning rate; default: that of the model family")
    batch_size: int = _flag(8, "images per training step")
    epochs: int = _flag(20, "passes over the training data")
    testing: bool = _flag(True, "measure on the test images before and after training; False: on the training images")
    load: str = _flag(
        "False", "True: the ReLU model saved in the run folder; or a .keras, .weights.h5 or Keras-2 .h5 file"
    )
    save: bool = _flag(False, "save the trained model as <model_type>.keras in the run folder")
    noise: float = _flag(0.0, "standard deviation of the jitter of spike times, in window time")
    time_bits: int = _flag(0, "2**bits time steps a window; 0: continuous time")
    weight_bits: int = _flag(0, "2**bits levels of weights and threshold offsets; 0: continuous")
    w_min: float = _flag(-1.0, "lowest level of quantized weights")
    w_max: float = _flag(1.0, "highest level of quantized weights")
    weight_per_channel: bool = _flag(False, "range of quantized weights per neuron instead of [w_min, w_max]")
    latency_quantiles: float = _flag(
        0.0, "windows from this quantile of activations, without margin; 0: from the maximum"
    )
    margin: float = _flag(0.5, "room of a window above the largest activation, as a share of it")
    units: int = _flag(340, "neurons of a hidden layer of FC2")
    depth: int = _flag(2, "layers with weights of FC2")
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
            return self.folder / "ReLU.keras"
        path = Path(self.load)
        return path if path.exists() or path.parent != Path() else Path(self.logging_dir) / path

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
            values = item.metadata.get("values")
            expect(values is None or getattr(self, item.name) in values, item.name, f"one of {values}")
        try:
            if parse(self.model_name)[0] == "CUSTOM":
                keras_file = self.load_path is not None and self.load_path.suffix == ".keras"
                expect(keras_file, "load", "the .keras file of the custom model")
        except ConfigurationError as error:
            problems.append(str(error))
        expect("/" not in self.model_name, "model_name", "a name without '/'")
        for name in ("batch_size", "units", "depth"):
            expect(getattr(self, name) >= 1, name, "at least 1")
        for name in ("train_samples", "test_samples"):
            expect(getattr(self, name) is None or getattr(self, name) >= 1, name, "at least 1")
        for name in ("epochs", "noise", "margin", "seed"):
            expect(getattr(self, name) >= 0, name, "at least 0")
        for name in ("time_bits", "weight_bits"):
            expect(0 <= getattr(self, name) <= 24, name, "0 to 24")
        expect(self.lr is None or self.lr > 0, "lr", "a positive rate")
        expect(self.w_min <= 0, "w_min", "at most 0")
        expect(self.w_max >= 0 and self.w_max > self.w_min, "w_max", "at least 0 and above w_min")
        expect(0 <= self.latency_quantiles <= 1, "latency_quantiles", "0 to 1")
        hardware = [n for n in ("noise", "time_bits", "weight_bits", "latency_quantiles") if getattr(self, n)]
        for name in hardware if self.model_type == "ReLU" else []:
            problems.append(
                f"{name}: expected 0 with model_type ReLU, which has no spikes. Received: {getattr(self, name)}"
            )
        if self.load_path is not None and not self.load_path.is_file():
            problems.append(f"load: expected a file at {self.load_path}. Received: {self.load!r}, and there is none")
        if problems:
            raise ConfigurationError("This run cannot start:\n  " + "\n  ".join(problems))
