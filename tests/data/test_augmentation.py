import numpy as np
import pytest
import tensorflow as tf

from tests.tolerances import FLOAT32, FLOAT64
from ttfs_keras.data import load
from ttfs_keras.data.augmentation import augmented, elastic, flipped, shifted

KEY = tf.constant([3, 5], tf.int64)
CHANGES = {"elastic": elastic, "shifted": shifted, "flipped": flipped}


@pytest.fixture(scope="module")
def images():
    """Digits, two channels of them, higher than wide."""
    x = load("DIGITS").x_train[:40]
    return np.concatenate([x[:20], x[20:]], axis=-1)[:, :, 2:24]


def unbatched(changed):
    return np.concatenate([x for x, _ in changed])


@pytest.mark.parametrize("name", CHANGES)
def test_seed_and_step_determine_the_images(images, name):
    labels = np.arange(20)
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
    first, same, seed, step = (
        unbatched(augmented(batches, CHANGES[name], *key)) for key in ((1, 0), (1, 0), (2, 0), (1, 3))
    )
    assert first.shape == images.shape and first.dtype == images.dtype
    np.testing.assert_array_equal(first, same)
    assert (first != seed).any() and (first != step).any()
    assert not np.array_equal(first[:8], unbatched(augmented(batches.take(1).repeat(2), CHANGES[name], 1, 0))[8:])
    np.testing.assert_array_equal(np.concatenate([y for _, y in augmented(batches, CHANGES[name], 1, 0)]), labels)


@pytest.mark.parametrize("name", CHANGES)
def test_a_resumed_run_sees_the_images_it_would_have_seen(images, name):
    batches = tf.data.Dataset.from_tensor_slices((images, np.arange(20))).batch(5)
    whole = unbatched(augmented(batches, CHANGES[name], 7, 0))
    rest = unbatched(augmented(batches.skip(2), CHANGES[name], 7, 2))
    np.testing.assert_array_equal(whole[10:], rest)


def bilinear(image, rows, columns):
    """Interpolate pixel by pixel; 0 outside."""
    height, width, channels = image.shape
    result = np.zeros((*rows.shape, channels))
    for index in np.ndindex(rows.shape):
        y, x = int(np.floor(rows[index])), int(np.floor(columns[index]))
        for j, i in ((y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)):
            if 0 <= j < height and 0 <= i < width:
                result[index] += (1 - abs(rows[index] - j)) * (1 - abs(columns[index] - i)) * image[j, i]
    return result


@pytest.mark.parametrize("sigma", [0.7, 40.0])
def test_elastic_moves_the_corners_and_interpolates(images, sigma):
    x = images[:3].astype("float64")
    found = elastic(tf.constant(x), KEY, sigma)
    corners = sigma * tf.random.stateless_normal((3, 2, 2, 2), KEY, dtype=tf.float64).numpy()
    down, right = np.linspace(0, 1, 28)[:, None], np.linspace(0, 1, 22)
    for sample in range(3):
        (a, b), (c, d) = corners[sample]
        field = (
            np.multiply.outer((1 - down) * (1 - right), a)
            + np.multiply.outer((1 - down) * right, b)
            + np.multiply.outer(down * (1 - right), c)
            + np.multiply.outer(down * right, d)
        )
        rows, columns = np.arange(28)[:, None] + field[..., 0], np.arange(22) + field[..., 1]
        np.testing.assert_allclose(found[sample], bilinear(x[sample], rows, columns), rtol=0, atol=FLOAT64)
    assert (found.numpy() != x).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elastic_without_displacements_is_the_identity(images, dtype):
    x = tf.constant(images, dtype)
    found = elastic(x, KEY, sigma=0.0)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, x, rtol=0, atol=FLOAT32)


def test_shifted_images_are_moved_by_up_to_two_pixels(images):
    found, moves = shifted(tf.constant(images), KEY).numpy(), []
    for image, moved in zip(images, found, strict=True):
        padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
        candidates = [(y, x) for y in range(5) for x in range(5)]
        matches = [(y, x) for y, x in candidates if np.array_equal(padded[y : y + 28, x : x + 22], moved)]
        assert matches
        moves += matches[:1]
    assert len(set(moves)) > 8
    np.testing.assert_array_equal(shifted(tf.constant(images), KEY, pixels=0), images)


def test_half_of_the_images_are_mirrored(images):
    x = np.tile(images, (5, 1, 1, 1))
    found = flipped(tf.constant(x), KEY).numpy()
    mirrored = (found == x[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (mirrored | (found == x).all(axis=(1, 2, 3))).all()
    assert 30 < mirrored.sum() < 70
