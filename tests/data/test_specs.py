import numpy as np
import pytest

from ttfs_keras.data import names, spec
from ttfs_keras.errors import DataError


def test_names_are_the_data_sets_of_the_command_line():
    assert names() == ("DIGITS", "YINYANG", "MNIST", "FMNIST", "EMNIST", "CIFAR10", "CIFAR100")


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_pixel_lands_in_the_input_range(name, dtype):
    entry = spec(name)
    pixels = np.arange({"DIGITS": 17, "YINYANG": 2}.get(name, 256), dtype=np.uint8)
    x = entry.normalise(pixels, dtype)
    p, q = entry.input_range
    assert x.dtype == dtype
    assert p <= x.min() and x.max() <= q
    if entry.input_range == (0.0, 1.0):
        assert (x.min(), x.max()) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("name", "pixel", "expected"),
    [("MNIST", 51, 0.2), ("CIFAR10", 255, (255 - 120.707) / 64.15), ("CIFAR100", 0, -121.936 / 68.389)],
)
def test_constants(name, pixel, expected):
    x = spec(name).normalise(np.array([pixel], np.uint8), "float64")
    np.testing.assert_allclose(x, [expected], rtol=1e-15)


def test_normalise_leaves_its_argument_alone():
    pixels = np.full((1, 2, 2, 1), 100.0)
    spec("CIFAR10").normalise(pixels, "float64")
    assert (pixels == 100).all()


def test_normalise_returns_rows_in_c_order_whatever_the_layout():
    pixels = np.zeros((2, 3, 4, 1), np.uint8).swapaxes(1, 2)
    assert spec("EMNIST").normalise(pixels).flags.c_contiguous


@pytest.mark.parametrize(("wrong", "meant"), [("mnist", "MNIST"), ("FMINST", "FMNIST"), ("cifar-10", "CIFAR10")])
def test_unknown_name_lists_the_names_and_guesses(wrong, meant):
    with pytest.raises(DataError, match=f"name='{wrong}'.*Did you mean '{meant}'") as error:
        spec(wrong)
    assert all(name in str(error.value) for name in names())


def test_unknown_name_without_a_guess():
    with pytest.raises(DataError) as error:
        spec("imagenet21k")
    assert "Did you mean" not in str(error.value)
