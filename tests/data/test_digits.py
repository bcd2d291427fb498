import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttfs_keras.data import digits, load

_FILE = digits._FILE


def test_shapes_types_and_range():
    data = load("DIGITS")
    assert data.x_train.shape == (1437, 28, 28, 1)
    assert data.x_test.shape == (360, 28, 28, 1)
    assert data.x_train.dtype == np.float32
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    assert (data.classes, data.input_range, data.image_shape) == (10, (0.0, 1.0), (28, 28, 1))
    assert data.source == "embedded"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_range_is_exact_in_every_type(dtype):
    data = load("DIGITS", dtype=dtype)
    for x in (data.x_train, data.x_test):
        assert x.dtype == dtype
        assert (x.min(), x.max()) == (0.0, 1.0)


def test_split_is_stratified_and_does_not_overlap():
    data = load("DIGITS")
    whole = np.bincount(data.y_train) + np.bincount(data.y_test)
    np.testing.assert_array_equal(whole, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    np.testing.assert_allclose(np.bincount(data.y_test), whole * 360 / 1797, atol=1)
    train = {image.tobytes() for image in data.x_train}
    assert not any(image.tobytes() in train for image in data.x_test)


def test_order_mixes_the_classes():
    labels = load("DIGITS", train_samples=200).y_train
    assert np.bincount(labels, minlength=10).min() >= 8


def test_file_carries_its_source_and_licence_and_no_pickle():
    with np.load(_FILE, allow_pickle=False) as file:
        assert "Alpaydin" in str(file["source"]) and "Optical Recognition" in str(file["source"])
        assert "CC BY 4.0" in str(file["license"])
        assert file["x_train"].dtype == file["x_test"].dtype == np.uint8
    assert _FILE.stat().st_size < 100_000


def test_upsampling_equals_tf_image_resize():
    tf = pytest.importorskip("tensorflow")
    with np.load(_FILE, allow_pickle=False) as file:
        images = file["x_test"][:20]
    expected = tf.image.resize(images[..., np.newaxis], (28, 28), method="bilinear")
    np.testing.assert_allclose(digits.upsample(images, 28), expected, atol=1e-5)


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(12, 40))
def test_upsampling_interpolates(source, target):
    matrix = digits._interpolation(source, target)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
    assert (np.count_nonzero(matrix, axis=1) <= 2).all()
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-12)


def test_a_person_can_still_tell_the_digits_apart():
    data = load("DIGITS")
    means = np.stack([data.x_train[data.y_train == k].mean(axis=0).ravel() for k in range(10)])
    distance = ((data.x_test.reshape(360, 1, -1) - means) ** 2).sum(axis=-1)
    assert (distance.argmin(axis=1) == data.y_test).mean() > 0.85
