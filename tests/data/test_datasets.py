import dataclasses

import numpy as np
import pytest

from ttfs_keras.data import load, outside_range, spec
from ttfs_keras.errors import DataError


@pytest.mark.parametrize("name", ["MNIST", "FMNIST", "EMNIST", "CIFAR10", "CIFAR100"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_load_normalises(isolated, name, dtype, files):
    splits, entry = files.make_splits(name), spec(name)
    files.write_npz(isolated / entry.npz, splits)
    data = load(name, isolated, dtype=dtype)
    assert data.name == name and data.source == str(isolated / entry.npz)
    assert (data.classes, data.input_range, data.image_shape) == (entry.classes, entry.input_range, entry.image_shape)
    assert data.x_train.dtype == data.x_test.dtype == dtype
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    np.testing.assert_allclose(data.x_test, (splits.x_test - entry.mean) / entry.std, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(data.y_train, splits.y_train)
    assert outside_range(data.x_train, data.input_range) == 0
    assert data.x_train.flags.c_contiguous


def test_load_takes_the_first_samples(isolated, files):
    splits = files.make_splits("CIFAR10")
    files.write_cifar10(isolated, splits)
    data = load("CIFAR10", str(isolated), train_samples=7, test_samples=5)
    np.testing.assert_array_equal(data.y_train, splits.y_train[:7])
    np.testing.assert_allclose(data.x_train, (splits.x_train[:7] - 120.707) / 64.15, rtol=1e-5, atol=1e-5)
    assert data.x_test.shape == (5, 32, 32, 3)


@pytest.mark.parametrize("argument", ["train_samples", "test_samples"])
@pytest.mark.parametrize("count", [0, -1, 1.5, True, 10_000])
def test_sample_counts_refused(argument, count):
    with pytest.raises(DataError, match=f"Expected {argument} to be .*Received: {argument}={count}"):
        load("DIGITS", **{argument: count})


@pytest.mark.parametrize("dtype", ["int32", "float31", None, "uint8"])
def test_dtype_refused(dtype):
    if dtype is None:
        assert load("DIGITS", dtype=dtype).x_train.dtype == np.float64
        return
    with pytest.raises(DataError, match=f"floating type.*Received: dtype='{dtype}'"):
        load("DIGITS", dtype=dtype)


def test_a_missing_data_dir_is_an_error_even_for_the_embedded_digits(tmp_path):
    with pytest.raises(DataError, match=r"data_dir='.*nowhere'"):
        load("DIGITS", tmp_path / "nowhere")


def test_unknown_name():
    with pytest.raises(DataError, match="Did you mean 'DIGITS'"):
        load("digits")


def test_dataset_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load("DIGITS").name = "MNIST"


def test_real_mnist(shared_data):
    data = load("MNIST", shared_data)
    assert data.x_train.shape == (60000, 28, 28, 1) and data.x_test.shape == (10000, 28, 28, 1)
    assert data.y_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert (data.x_train.min(), data.x_train.max()) == (0.0, 1.0)
    assert data.x_train.mean() == pytest.approx(0.1307, abs=1e-4)
