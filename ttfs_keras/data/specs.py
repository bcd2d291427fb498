"""What is fixed about each data set: shapes, normalisation, value range and the names its files go by."""

import dataclasses
import difflib

import numpy as np

from ttfs_keras.errors import DataError


@dataclasses.dataclass(frozen=True)
class IdxFiles:
    """Where the idx files of a data set lie and how their names start.

    Args:
        train, test: prefixes, as in `<prefix>-images-idx3-ubyte` and `<prefix>-labels-idx1-ubyte`.
        folders: subfolders searched, the one that names the data set before the ambiguous one.
        transposed: the files store columns first; reading turns the images upright.
    """

    train: str
    test: str
    folders: tuple[str, ...]
    transposed: bool = False


@dataclasses.dataclass(frozen=True)
class BinFiles:
    """Names and record layout of CIFAR's binary version (https://www.cs.toronto.edu/~kriz/cifar.html).

    Args:
        train, test: file names.
        label_bytes: label bytes before each image; the last one is the class.
        folders: subfolders searched.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    label_bytes: int
    folders: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """One data set, independent of where its files are.

    Args:
        name: as `--data_name` takes it.
        image_shape: (height, width, channels).
        classes: number of classes; labels are 0..classes-1.
        input_range: (p, q), the interval a normalised value lies in; the encoder maps it to [0, 1].
        mean, std: normalised value = (pixel - mean) / std, pixels as stored (0..255, DIGITS 0..16, YINYANG 0..1).
        tfds_name: name in tensorflow_datasets, "" where there is none.
        idx, cifar: the file layouts it is distributed in.
        keras_cache: its file or folder below Keras's `datasets` folder, "" where Keras has none that is read.
        system_folder: folder a Debian package installs it to, "" where there is none.
        system_package: that package.
    """

    name: str
    image_shape: tuple[int, int, int]
    classes: int
    input_range: tuple[float, float]
    mean: float
    std: float
    tfds_name: str = ""
    idx: IdxFiles | None = None
    cifar: BinFiles | None = None
    keras_cache: str = ""
    system_folder: str = ""
    system_package: str = ""

    @property
    def npz(self) -> str:
        """Name of the .npz file with x_train, y_train, x_test and y_test."""
        return f"{self.name.lower()}.npz"

    def normalise(self, pixels: np.ndarray, dtype: str | np.dtype = "float32") -> np.ndarray:
        """Return (pixels - mean) / std.

        Args:
            pixels: (n, height, width, channels), as stored.
            dtype: floating type of the result and of the arithmetic.
        """
        x = np.array(pixels, dtype, order="C")
        x -= x.dtype.type(self.mean)
        x /= x.dtype.type(self.std)
        return x


# CIFAR's constants are those of github.com/geifmany/cifar-vgg, whose weights are converted; they hold for all channels.
_SPECS = (
    DatasetSpec("DIGITS", (28, 28, 1), 10, (0.0, 1.0), 0.0, 16.0),
    DatasetSpec("YINYANG", (1, 4, 1), 3, (0.0, 1.0), 0.0, 1.0),
    DatasetSpec(
        "MNIST",
        (28, 28, 1),
        10,
        (0.0, 1.0),
        0.0,
        255.0,
        tfds_name="mnist",
        idx=IdxFiles("train", "t10k", ("MNIST/raw", "MNIST", "mnist", "")),
        keras_cache="mnist.npz",
    ),
    DatasetSpec(
        "FMNIST",
        (28, 28, 1),
        10,
        (0.0, 1.0),
        0.0,
        255.0,
        tfds_name="fashion_mnist",
        idx=IdxFiles("train", "t10k", ("FashionMNIST/raw", "FashionMNIST", "fashion-mnist", "fashion_mnist", "")),
        keras_cache="fashion-mnist",
        system_folder="/usr/share/datasets/fashion-mnist",
        system_package="dataset-fashion-mnist",
    ),
    DatasetSpec(
        "EMNIST",
        (28, 28, 1),
        47,
        (0.0, 1.0),
        0.0,
        255.0,
        tfds_name="emnist/balanced",
        idx=IdxFiles(
            "emnist-balanced-train",
            "emnist-balanced-test",
            ("EMNIST/raw", "EMNIST", "emnist", "gzip", ""),
            transposed=True,
        ),
    ),
    DatasetSpec(
        "CIFAR10",
        (32, 32, 3),
        10,
        (-3.0, 3.0),
        120.707,
        64.15,
        tfds_name="cifar10",
        cifar=BinFiles(
            tuple(f"data_batch_{n}.bin" for n in range(1, 6)), ("test_batch.bin",), 1, ("cifar-10-batches-bin", "")
        ),
    ),
    DatasetSpec(
        "CIFAR100",
        (32, 32, 3),
        100,
        (-3.0, 3.0),
        121.936,
        68.389,
        tfds_name="cifar100",
        cifar=BinFiles(("train.bin",), ("test.bin",), 2, ("cifar-100-binary", "")),
    ),
)


def names() -> tuple[str, ...]:
    """Return the names that `spec` and `load` accept."""
    return tuple(entry.name for entry in _SPECS)


def spec(name: str) -> DatasetSpec:
    """Return the entry called `name`.

    Raises:
        DataError: there is none; the message lists the names and guesses the one meant.

    Example:
        >>> from ttfs_keras.data import spec
        >>> spec("CIFAR10").image_shape
        (32, 32, 3)
    """
    for entry in _SPECS:
        if entry.name == name:
            return entry
    close = difflib.get_close_matches(str(name).upper(), names(), n=1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    raise DataError(f"Unknown data set. Expected one of: {', '.join(names())}. Received: name={name!r}.{guess}")
