import dataclasses
import gzip
import struct
import types
from pathlib import Path

import numpy as np
import pytest

from ttfs_keras.data import checks, specs, tfds_source


def make_splits(name, train=12, test=5, seed=0):
    spec = specs.spec(name)
    random = np.random.default_rng(seed)

    def pixels(n):
        return random.integers(0, 256, (n, *spec.image_shape), dtype=np.uint8)

    def labels(n):
        return random.integers(0, spec.classes, n)

    return checks.Splits(pixels(train), labels(train), pixels(test), labels(test))


def write_npz(path, splits):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **splits._asdict())


def idx_bytes(array):
    array = np.ascontiguousarray(array, np.uint8)
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(folder, splits, prefixes=("train", "t10k"), ending=".gz", separator="-"):
    folder.mkdir(parents=True, exist_ok=True)
    for part, prefix in zip(("train", "test"), prefixes, strict=True):
        for field, stem in (("x", f"images{separator}idx3-ubyte"), ("y", f"labels{separator}idx1-ubyte")):
            array = getattr(splits, f"{field}_{part}")
            content = idx_bytes(array[..., 0] if field == "x" else array)
            path = folder / f"{prefix}-{stem}{ending}"
            path.write_bytes(gzip.compress(content) if ending == ".gz" else content)


def write_bin(path, x, label_columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    planes = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
    path.write_bytes(np.hstack([np.asarray(label_columns, np.uint8).T, planes]).tobytes())


def write_cifar10(folder, splits):
    parts = zip(np.array_split(splits.x_train, 5), np.array_split(splits.y_train, 5), strict=True)
    for n, (x, y) in enumerate(parts, 1):
        write_bin(folder / f"data_batch_{n}.bin", x, [y])
    write_bin(folder / "test_batch.bin", splits.x_test, [splits.y_test])


def write_cifar100(folder, splits):
    write_bin(folder / "train.bin", splits.x_train, [splits.y_train // 5, splits.y_train])
    write_bin(folder / "test.bin", splits.x_test, [splits.y_test // 5, splits.y_test])


@pytest.fixture(scope="session")
def files():
    """Writers of small synthetic files in each real format."""
    return types.SimpleNamespace(
        make_splits=make_splits,
        idx_bytes=idx_bytes,
        write_npz=write_npz,
        write_idx=write_idx,
        write_bin=write_bin,
        write_cifar10=write_cifar10,
        write_cifar100=write_cifar100,
    )


@pytest.fixture
def isolated(monkeypatch, tmp_path):
    """No Keras cache, no system folder and no network: what is found is what the test wrote."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    closed = tuple(_without_system_folder(entry, tmp_path) for entry in specs._SPECS)
    monkeypatch.setattr(specs, "_SPECS", closed)

    def offline(spec):
        raise ConnectionError(f"no route to {spec.tfds_name}\nsecond line")

    monkeypatch.setattr(tfds_source, "download", offline)
    return tmp_path


def _without_system_folder(entry, tmp_path):
    return dataclasses.replace(entry, system_folder=str(tmp_path / "system") if entry.system_folder else "")


@pytest.fixture
def shared_data():
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    if not (folder / "mnist.npz").is_file():
        pytest.skip(f"real MNIST is not in {folder}")
    return folder
