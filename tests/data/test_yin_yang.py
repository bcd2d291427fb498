import numpy as np
import pytest

from ttfs_keras.data import load, yin_yang


@pytest.fixture(scope="module")
def data():
    return load("YINYANG", dtype="float64")


def parts(data):
    return (data.x_train, data.y_train), (data.x_validation, data.y_validation), (data.x_test, data.y_test)


def published(size, seed):
    """The authors' generator in their words: criteria of yin, circles, rejection."""
    random = np.random.RandomState(seed)
    for _ in range(size):
        goal = random.randint(3)
        while True:
            x, y = random.rand(2) * 2.0 * 0.5
            if (x - 0.5) ** 2 + (y - 0.5) ** 2 > 0.25:
                continue
            to_right, to_left = np.sqrt((x - 0.75) ** 2 + (y - 0.5) ** 2), np.sqrt((x - 0.25) ** 2 + (y - 0.5) ** 2)
            is_yin = to_right <= 0.1 or 0.1 < to_left <= 0.25 or (y > 0.5 and to_right > 0.25)
            found = 2 if to_right < 0.1 or to_left < 0.1 else int(is_yin)
            if found == goal:
                yield x, y, found
                break


def test_shapes_types_and_range(data):
    for (x, y), size in zip(parts(data), (5000, 1000, 1000), strict=True):
        assert x.shape == (size, 1, 4, 1) and x.dtype == np.float64
        assert y.shape == (size,) and y.dtype == np.int64
        assert x.min() >= 0 and x.max() <= 1
        np.testing.assert_array_equal(x[:, 0, 2:], 1 - x[:, 0, :2])
    assert (data.classes, data.input_range, data.image_shape) == (3, (0.0, 1.0), (1, 4, 1))
    assert data.source == "generated"


def test_points_are_those_of_the_published_generator(data):
    for (x, y), seed in zip(parts(data), (42, 41, 40), strict=True):
        expected = np.array(list(published(200, seed)))
        np.testing.assert_array_equal(x[:200, 0, :2, 0], expected[:, :2])
        np.testing.assert_array_equal(y[:200], expected[:, 2])


def test_classes_are_balanced(data):
    for _, y in parts(data):
        np.testing.assert_allclose(np.bincount(y) / len(y), 1 / 3, atol=0.04)


def test_half_a_turn_swaps_yin_and_yang():
    swapped = {0: 1, 1: 0, 2: 2, None: None}
    for x, y in np.random.default_rng(0).uniform(size=(2000, 2)):
        assert yin_yang.label(1 - x, 1 - y) == swapped[yin_yang.label(x, y)]


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [(0.25, 0.5, 2), (0.75, 0.5, 2), (0.5, 0.9, 1), (0.25, 0.3, 1), (0.5, 0.1, 0), (0.75, 0.7, 0), (0.01, 0.01, None)],
)
def test_places(x, y, expected):
    assert yin_yang.label(x, y) == expected


def test_parts_can_be_shortened_and_other_data_has_no_validation_part():
    data = load("YINYANG", train_samples=10, test_samples=5)
    assert len(data.x_train) == 10 and len(data.x_test) == 5 and len(data.x_validation) == 1000
    assert data.x_train.dtype == data.x_validation.dtype == np.float32
    assert load("DIGITS", train_samples=1).x_validation is None
