import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ttfs_keras.data import formats, names, sources, spec, tfds_source
from ttfs_keras.errors import DataError

_DOWNLOADED = [name for name in names() if name not in ("DIGITS", "YINYANG")]


@pytest.mark.parametrize("subfolder", ["", "MNIST/raw"])
def test_idx_in_the_usual_folders(isolated, subfolder, files):
    splits = files.make_splits("MNIST")
    files.write_idx(isolated / subfolder, splits, ending="")
    found, source = sources.find(spec("MNIST"), isolated)
    np.testing.assert_array_equal(found.x_train, splits.x_train)
    assert source == str(isolated / subfolder)


@pytest.mark.parametrize(
    ("name", "write", "subfolder"),
    [("CIFAR10", "write_cifar10", "cifar-10-batches-bin"), ("CIFAR100", "write_cifar100", "cifar-100-binary")],
)
def test_cifar_in_its_archive_folder(isolated, name, write, subfolder, files):
    splits = files.make_splits(name)
    getattr(files, write)(isolated / subfolder, splits)
    found, source = sources.find(spec(name), isolated)
    np.testing.assert_array_equal(found.x_train, splits.x_train)
    np.testing.assert_array_equal(found.y_test, splits.y_test)
    assert source == str(isolated / subfolder)


def test_mnist_and_fmnist_side_by_side_are_told_apart(isolated, files):
    digits, clothes = files.make_splits("MNIST", seed=1), files.make_splits("FMNIST", seed=2)
    files.write_idx(isolated / "MNIST/raw", digits)
    files.write_idx(isolated / "FashionMNIST/raw", clothes)
    files.write_idx(isolated, digits)
    np.testing.assert_array_equal(sources.find(spec("MNIST"), isolated)[0].x_train, digits.x_train)
    np.testing.assert_array_equal(sources.find(spec("FMNIST"), isolated)[0].x_train, clothes.x_train)


def test_tfds_directory_in_data_dir(isolated, monkeypatch, files):
    folder = isolated / "fashion_mnist" / "3.0.1"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
    splits = files.make_splits("FMNIST")
    monkeypatch.setattr(tfds_source, "read_directory", lambda directory, spec: splits)
    assert sources.find(spec("FMNIST"), isolated) == (splits, str(folder))


@pytest.mark.parametrize("name", ["MNIST", "FMNIST"])
def test_keras_cache_comes_after_data_dir(isolated, name, files):
    ours, cached = files.make_splits(name, seed=1), files.make_splits(name, seed=2)
    if name == "MNIST":
        files.write_npz(isolated / "keras/datasets/mnist.npz", cached)
    else:
        files.write_idx(isolated / "keras/datasets/fashion-mnist", cached)
    files.write_npz(isolated / f"mine/{name.lower()}.npz", ours)
    empty = isolated / "empty"
    empty.mkdir()
    for data_dir, expected in ((isolated / "mine", ours), (empty, cached), (None, cached)):
        found, source = sources.find(spec(name), data_dir)
        np.testing.assert_array_equal(found.x_train, expected.x_train)
        assert source.startswith(str(isolated / ("mine" if expected is ours else "keras")))


def test_system_folder_serves_fmnist_only(isolated, files):
    splits = files.make_splits("FMNIST")
    files.write_idx(isolated / "system", splits)
    found, source = sources.find(spec("FMNIST"), None)
    np.testing.assert_array_equal(found.y_train, splits.y_train)
    assert source == str(isolated / "system")
    with pytest.raises(DataError, match="MNIST was not found"):
        sources.find(spec("MNIST"), None)


def test_download_comes_last(isolated, monkeypatch, files):
    splits = files.make_splits("CIFAR10")
    monkeypatch.setattr(tfds_source, "download", lambda spec: (splits, f"tensorflow_datasets {spec.tfds_name}"))
    assert sources.find(spec("CIFAR10"), None) == (splits, "tensorflow_datasets cifar10")


@pytest.mark.parametrize("name", _DOWNLOADED)
def test_nothing_found_lists_every_place_and_the_remedy(isolated, name):
    entry = spec(name)
    with pytest.raises(DataError) as error:
        sources.find(entry, isolated)
    text = str(error.value)
    assert text.startswith(f"Data set {name} was not found. Tried:\n")
    assert f"- data_dir {isolated}: holds none of {entry.npz}" in text
    assert f"- Keras cache {isolated / 'keras' / 'datasets'}: " in text
    assert ("- Debian package dataset-fashion-mnist: " in text) == (name == "FMNIST")
    assert f"- tensorflow_datasets {entry.tfds_name}: ConnectionError: no route to {entry.tfds_name}\n" in text
    assert "second line" not in text
    assert "\nRemedy: " in text and "--data_dir" in text


def test_nothing_given_is_listed_too(isolated):
    with pytest.raises(DataError, match="- data_dir: none was given"):
        sources.find(spec("CIFAR10"), None)


def test_pickles_in_the_keras_cache_are_not_read(isolated):
    batches = isolated / "keras/datasets/cifar-10-batches-py"
    batches.mkdir(parents=True)
    (batches / "data_batch_1").write_bytes(b"not even a pickle")
    with pytest.raises(DataError, match="Keras keeps this set as pickles, which are not read"):
        sources.find(spec("CIFAR10"), None)


@pytest.mark.parametrize("place", ["mine/mnist.npz", "keras/datasets/mnist.npz"])
def test_a_damaged_file_is_not_passed_over(isolated, monkeypatch, place, files):
    path = isolated / place
    files.write_npz(path, files.make_splits("MNIST"))
    path.write_bytes(path.read_bytes()[:-30])
    (isolated / "mine").mkdir(exist_ok=True)
    monkeypatch.setattr(tfds_source, "download", lambda spec: pytest.fail("fell through"))
    with pytest.raises(DataError, match=r"mnist\.npz: expected a complete \.npz"):
        sources.find(spec("MNIST"), isolated / "mine")


def test_an_unreadable_folder_is_named(isolated, monkeypatch):
    def refuse(*_):
        raise PermissionError("not yours")

    monkeypatch.setattr(formats, "find_idx", refuse)
    with pytest.raises(
        DataError, match=r"data_dir .*: expected a readable folder. Received: PermissionError: not yours"
    ):
        sources.find(spec("MNIST"), isolated)


def test_data_dir_must_be_a_folder(isolated):
    with pytest.raises(DataError, match=r"data_dir='.*nowhere', a path that does not exist"):
        sources.find(spec("MNIST"), isolated / "nowhere")
    (isolated / "mnist.npz").write_bytes(b"")
    with pytest.raises(DataError, match=r"data_dir='.*mnist\.npz', a file"):
        sources.find(spec("MNIST"), isolated / "mnist.npz")


def test_real_fashion_mnist_of_debian(isolated):
    folder = Path("/usr/share/datasets/fashion-mnist")
    if not folder.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    found, source = sources.find(dataclasses.replace(spec("FMNIST"), system_folder=str(folder)), None)
    assert source == str(folder)
    assert found.x_train.shape == (60000, 28, 28, 1) and found.x_test.shape == (10000, 28, 28, 1)
    assert (np.bincount(found.y_train) == 6000).all() and (np.bincount(found.y_test) == 1000).all()
