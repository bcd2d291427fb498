"""Readers of the file formats: .npz as Keras ships it, idx (plain or gzip), CIFAR's binary batches.

None of them unpickles. Each raises `DataError` with the file's name if it is not what its name says.
"""

import gzip
import math
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ttfs_keras.data import checks
from ttfs_keras.data.specs import BinFiles, DatasetSpec, IdxFiles
from ttfs_keras.errors import DataError

_UNREADABLE = (OSError, EOFError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)
_IDX_UNSIGNED_BYTE = 8
NPZ_FIELDS = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path: Path, spec: DatasetSpec) -> checks.Splits:
    """Read the layout of `keras.datasets.mnist`'s mnist.npz; EMNIST images are taken as upright.

    Args:
        path: file with x_train, y_train, x_test, y_test; images (n, height, width[, channels]), labels (n,) or (n, 1).
        spec: the data set expected in it.

    Raises:
        DataError: unreadable, a field missing, or a field of wrong shape, type or values.
    """
    try:
        # np.load leaves a file open that it opened itself and could not read.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            missing = [field for field in NPZ_FIELDS if field not in file]
            if missing:
                raise DataError(
                    f"{path}: expected the fields {', '.join(NPZ_FIELDS)}. Received: {', '.join(file) or 'none'}."
                )
            fields = {field: file[field] for field in NPZ_FIELDS}
    except DataError:
        raise
    except (*_UNREADABLE, TypeError, AttributeError) as error:
        raise DataError(f"{path}: expected a complete .npz file without pickles. Received: {_why(error)}.") from error
    parts = []
    for part in ("train", "test"):
        x = checks.images(fields[f"x_{part}"], spec.image_shape, f"{path} (x_{part})")
        y = checks.labels(fields[f"y_{part}"], spec.classes, len(x), f"{path} (y_{part})")
        parts += [x, y]
    return checks.Splits(*parts)


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read one idx file of unsigned bytes; gunzip it if its name ends in .gz.

    Args:
        path: the file; big-endian, as http://yann.lecun.com/exdb/mnist describes it.
        dimensions: 3 for images, 1 for labels.

    Raises:
        DataError: unreadable, truncated, too long, or another kind of idx file.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except _UNREADABLE as error:
        kind = "gzip" if path.suffix == ".gz" else "idx"
        raise DataError(f"{path}: expected a complete {kind} file. Received: {_why(error)}.") from error
    header = 4 + 4 * dimensions
    magic = bytes([0, 0, _IDX_UNSIGNED_BYTE, dimensions])
    if content[:4] != magic or len(content) < header:
        raise DataError(
            f"{path}: expected an idx file that starts with {magic.hex()} and {dimensions} sizes. "
            f"Received: {len(content)} bytes starting with {content[:4].hex() or 'nothing'}."
        )
    shape = tuple(np.frombuffer(content, ">u4", count=dimensions, offset=4).tolist())
    if len(content) - header != math.prod(shape):
        raise DataError(
            f"{path}: expected {math.prod(shape)} values for its sizes {shape}. "
            f"Received: {len(content) - header}; the file is truncated or corrupt."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def find_idx(folder: Path, idx: IdxFiles) -> dict[str, Path]:
    """Return the idx files in `folder` by prefix and content; empty where there is none.

    Returns:
        Paths under the keys "x_train", "y_train", "x_test", "y_test".

    Raises:
        DataError: some of the four files are there and others are not.
    """
    found, absent = {}, []
    for part, prefix in (("train", idx.train), ("test", idx.test)):
        for field, stem in ((f"x_{part}", "images{}idx3-ubyte"), (f"y_{part}", "labels{}idx1-ubyte")):
            standard = f"{prefix}-{stem.format('-')}"
            dotted = f"{prefix}-{stem.format('.')}"
            candidates = [folder / f"{name}{ending}" for name in (standard, dotted) for ending in (".gz", "")]
            path = next((path for path in candidates if path.is_file()), None)
            if path is None:
                absent.append(f"{standard}.gz")
            else:
                found[field] = path
    if found and absent:
        received = ", ".join(sorted(path.name for path in found.values()))
        raise DataError(f"{folder}: expected all four idx files. Received: {received}; missing: {', '.join(absent)}.")
    return found


def read_idx_files(files: dict[str, Path], spec: DatasetSpec) -> checks.Splits:
    """Read the four files that `find_idx` found.

    Raises:
        DataError: one of them is unreadable, truncated, of wrong shape or with a label out of range.
    """
    parts = []
    for part in ("train", "test"):
        x_path, y_path = files[f"x_{part}"], files[f"y_{part}"]
        x = checks.images(read_idx(x_path, 3), spec.image_shape, str(x_path))
        if spec.idx is not None and spec.idx.transposed:
            x = x.swapaxes(1, 2)
        parts += [x, checks.labels(read_idx(y_path, 1), spec.classes, len(x), str(y_path))]
    return checks.Splits(*parts)


def find_bin(folder: Path, cifar: BinFiles) -> bool:
    """Return whether `folder` holds CIFAR's binary batches.

    Raises:
        DataError: some of the batches are there and others are not.
    """
    wanted = [*cifar.train, *cifar.test]
    absent = [name for name in wanted if not (folder / name).is_file()]
    if absent and len(absent) < len(wanted):
        raise DataError(f"{folder}: expected the files {', '.join(wanted)}. Received: none of {', '.join(absent)}.")
    return not absent


def read_bin(path: Path, spec: DatasetSpec, label_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    """Read one binary batch.

    Args:
        path: records of label bytes, then the red, the green and the blue plane, row by row.
        spec: the data set expected in it.
        label_bytes: label bytes of a record; the last one is the class (CIFAR100: coarse, fine).

    Returns:
        Pixels (n, height, width, channels) uint8 and labels (n,) int64.

    Raises:
        DataError: unreadable, not a whole number of records, or a label out of range.
    """
    height, width, channels = spec.image_shape
    record = label_bytes + height * width * channels
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DataError(f"{path}: expected a readable file. Received: {_why(error)}.") from error
    if content.size == 0 or content.size % record:
        raise DataError(
            f"{path}: expected records of {record} bytes. Received: {content.size} bytes, "
            f"{content.size // record} records and {content.size % record} bytes; the file is truncated or corrupt."
        )
    records = content.reshape(-1, record)
    x = records[:, label_bytes:].reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    return x, checks.labels(records[:, label_bytes - 1], spec.classes, len(x), str(path))


def read_bin_files(folder: Path, spec: DatasetSpec, cifar: BinFiles) -> checks.Splits:
    """Read all batches in `folder`.

    Raises:
        DataError: as `read_bin`.
    """
    parts = []
    for files in (cifar.train, cifar.test):
        pairs = [read_bin(folder / file, spec, cifar.label_bytes) for file in files]
        parts += [np.concatenate(part) for part in zip(*pairs, strict=True)]
    return checks.Splits(*parts)


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
