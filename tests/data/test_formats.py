import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttfs_keras.data import formats, spec
from ttfs_keras.errors import DataError


def assert_same(splits, expected):
    for field, array in splits._asdict().items():
        np.testing.assert_array_equal(array, getattr(expected, field), err_msg=field)


# .npz


@pytest.mark.parametrize("name", ["MNIST", "EMNIST", "CIFAR10"])
def test_npz_round_trip(tmp_path, name, files):
    splits = files.make_splits(name)
    files.write_npz(tmp_path / "set.npz", splits)
    assert_same(formats.read_npz(tmp_path / "set.npz", spec(name)), splits)


def test_npz_as_keras_ships_it(tmp_path, files):
    splits = files.make_splits("CIFAR100")
    columns = splits._replace(y_train=splits.y_train[:, np.newaxis], y_test=splits.y_test[:, np.newaxis])
    files.write_npz(tmp_path / "set.npz", columns)
    assert_same(formats.read_npz(tmp_path / "set.npz", spec("CIFAR100")), splits)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_npz_truncated(tmp_path, keep, files):
    path = tmp_path / "mnist.npz"
    files.write_npz(path, files.make_splits("MNIST"))
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(DataError, match=r"mnist\.npz: expected a complete \.npz file"):
        formats.read_npz(path, spec("MNIST"))


def test_npz_with_a_flipped_byte(tmp_path, files):
    path = tmp_path / "mnist.npz"
    files.write_npz(path, files.make_splits("MNIST"))
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"mnist\.npz"):
        formats.read_npz(path, spec("MNIST"))


def test_npz_with_a_field_missing(tmp_path):
    np.savez(tmp_path / "mnist.npz", x_train=np.zeros((1, 28, 28)))
    with pytest.raises(DataError, match=r"expected the fields x_train, y_train, x_test, y_test. Received: x_train"):
        formats.read_npz(tmp_path / "mnist.npz", spec("MNIST"))


def test_npz_is_never_unpickled(tmp_path):
    np.savez(tmp_path / "mnist.npz", x_train=np.array([{}], object), y_train=[0], x_test=[0], y_test=[0])
    with pytest.raises(DataError, match="without pickles"):
        formats.read_npz(tmp_path / "mnist.npz", spec("MNIST"))


def test_npy_under_the_name_of_an_npz(tmp_path):
    with (tmp_path / "mnist.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match=r"mnist\.npz: expected a complete \.npz"):
        formats.read_npz(tmp_path / "mnist.npz", spec("MNIST"))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("x_train", np.full((12, 28, 28, 1), np.nan), r"\(x_train\): expected finite pixels"),
        ("x_test", np.zeros((5, 32, 32, 3), np.uint8), r"\(x_test\): expected images of shape \(n, 28, 28, 1\)"),
        ("y_train", np.full(12, 10), r"\(y_train\): expected labels in 0..9. Received: 10"),
        ("y_test", np.zeros(4), r"\(y_test\): expected one label for each of 5 images"),
    ],
)
def test_npz_with_a_bad_field(tmp_path, field, value, message, files):
    files.write_npz(tmp_path / "mnist.npz", files.make_splits("MNIST")._replace(**{field: value}))
    with pytest.raises(DataError, match=r"mnist\.npz " + message):
        formats.read_npz(tmp_path / "mnist.npz", spec("MNIST"))


# idx


@pytest.mark.parametrize("ending", [".gz", ""])
@pytest.mark.parametrize("separator", ["-", "."])
def test_idx_round_trip(tmp_path, ending, separator, files):
    splits = files.make_splits("MNIST")
    files.write_idx(tmp_path, splits, ending=ending, separator=separator)
    assert_same(formats.read_idx_files(formats.find_idx(tmp_path, spec("MNIST").idx), spec("MNIST")), splits)


def test_idx_of_emnist_is_turned_upright(tmp_path, files):
    upright = files.make_splits("EMNIST")
    stored = upright._replace(x_train=upright.x_train.swapaxes(1, 2), x_test=upright.x_test.swapaxes(1, 2))
    files.write_idx(tmp_path, stored, ("emnist-balanced-train", "emnist-balanced-test"))
    assert_same(formats.read_idx_files(formats.find_idx(tmp_path, spec("EMNIST").idx), spec("EMNIST")), upright)


@settings(deadline=None)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=30), st.data())
def test_idx_with_bytes_missing_or_added_is_refused(tmp_path_factory, files, values, data):
    path = tmp_path_factory.mktemp("idx") / "labels"
    content = files.idx_bytes(np.array(values))
    path.write_bytes(content)
    np.testing.assert_array_equal(formats.read_idx(path, 1), values)
    cut = data.draw(st.integers(0, len(content) - 1))
    for wrong in (content[:cut], content + b"\0"):
        path.write_bytes(wrong)
        with pytest.raises(DataError, match="labels: expected"):
            formats.read_idx(path, 1)


@pytest.mark.parametrize("keep", [0, 5, 0.5, 0.999])
def test_idx_with_truncated_gzip(tmp_path, keep, files):
    path = tmp_path / "images.gz"
    content = gzip.compress(files.idx_bytes(files.make_splits("MNIST").x_train[..., 0]))
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(DataError, match=r"images\.gz: expected"):
        formats.read_idx(path, 3)


def test_idx_that_is_no_gzip(tmp_path):
    (tmp_path / "images.gz").write_bytes(b"<html>404</html>")
    with pytest.raises(DataError, match=r"images\.gz: expected a complete gzip file. Received: BadGzipFile"):
        formats.read_idx(tmp_path / "images.gz", 3)


def test_idx_of_labels_in_place_of_images(tmp_path, files):
    (tmp_path / "images").write_bytes(files.idx_bytes(np.zeros(20)))
    with pytest.raises(DataError, match=r"starts with 00000803 .*Received: 28 bytes starting with 00000801"):
        formats.read_idx(tmp_path / "images", 3)


def test_idx_with_bad_shape_label_or_count(tmp_path, files):
    splits = files.make_splits("MNIST")
    for number, (wrong, message) in enumerate(
        [
            (splits._replace(x_test=splits.x_test[:, :27]), r"t10k-images.*\(n, 28, 28, 1\).*\(5, 27, 28\)"),
            (splits._replace(y_train=np.full(12, 11)), r"train-labels.*labels in 0..9. Received: 11"),
            (splits._replace(y_train=splits.y_train[:3]), r"train-labels.*each of 12 images. Received: shape \(3,\)"),
        ]
    ):
        folder = tmp_path / str(number)
        files.write_idx(folder, wrong)
        with pytest.raises(DataError, match=message):
            formats.read_idx_files(formats.find_idx(folder, spec("MNIST").idx), spec("MNIST"))


def test_idx_with_one_of_four_files_missing(tmp_path, files):
    files.write_idx(tmp_path, files.make_splits("MNIST"))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"missing: t10k-labels-idx1-ubyte\.gz"):
        formats.find_idx(tmp_path, spec("MNIST").idx)


def test_idx_finds_nothing_in_an_empty_folder(tmp_path):
    assert formats.find_idx(tmp_path, spec("MNIST").idx) == {}


# CIFAR


@pytest.mark.parametrize(("name", "write"), [("CIFAR10", "write_cifar10"), ("CIFAR100", "write_cifar100")])
def test_bin_round_trip(tmp_path, name, write, files):
    splits = files.make_splits(name)
    getattr(files, write)(tmp_path, splits)
    entry = spec(name)
    assert formats.find_bin(tmp_path, entry.cifar)
    assert_same(formats.read_bin_files(tmp_path, entry, entry.cifar), splits)


def test_bin_channels_are_red_green_blue(tmp_path):
    path = tmp_path / "batch.bin"
    red_ramp = bytes(column for _ in range(32) for column in range(32))
    path.write_bytes(bytes([7]) + red_ramp + bytes([100]) * 1024 + bytes([200]) * 1024)
    x, y = formats.read_bin(path, spec("CIFAR10"), 1)
    assert y.tolist() == [7]
    assert x[0, 5, 9].tolist() == [9, 100, 200]
    assert x[0, 30, 0].tolist() == [0, 100, 200]


def test_bin_takes_the_fine_label(tmp_path, files):
    files.write_bin(tmp_path / "train.bin", files.make_splits("CIFAR100").x_test, [[1] * 5, [99, 98, 97, 0, 1]])
    assert formats.read_bin(tmp_path / "train.bin", spec("CIFAR100"), 2)[1].tolist() == [99, 98, 97, 0, 1]


@pytest.mark.parametrize("size", [0, 1, 3072, 3073 * 2 - 1])
def test_bin_truncated(tmp_path, size):
    (tmp_path / "batch.bin").write_bytes(bytes(size))
    with pytest.raises(DataError, match=rf"batch\.bin: expected records of 3073 bytes. Received: {size} bytes"):
        formats.read_bin(tmp_path / "batch.bin", spec("CIFAR10"), 1)


def test_bin_with_a_bad_label(tmp_path, files):
    files.write_bin(tmp_path / "batch.bin", files.make_splits("CIFAR10").x_test, [[0, 1, 2, 10, 3]])
    with pytest.raises(DataError, match=r"batch\.bin: expected labels in 0..9. Received: 10 at position 3"):
        formats.read_bin(tmp_path / "batch.bin", spec("CIFAR10"), 1)


def test_bin_with_a_batch_missing(tmp_path, files):
    files.write_cifar10(tmp_path, files.make_splits("CIFAR10"))
    (tmp_path / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"Received: none of data_batch_3\.bin"):
        formats.find_bin(tmp_path, spec("CIFAR10").cifar)
