"""Random changes of training images that depend on nothing but the seed and the step, as the order of batches does."""

from collections.abc import Callable

import tensorflow as tf


def augmented(
    dataset: tf.data.Dataset, change: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], seed: int, first_step: int
) -> tf.data.Dataset:
    """Return a data set of (x, y) batches with `change(x, key)` for x; key is the pair (seed, step).

    Args:
        dataset: `tf.data.Dataset` of (x, y) batches.
        change: function of images (batch, height, width, channels) and an int64 tensor (2,).
        seed: any integer.
        first_step: batches seen before, 0 for a new run.
    """

    def apply(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        x, y = batch
        return change(x, tf.stack([tf.constant(int(seed) % 2**63, tf.int64), step])), y

    return dataset.enumerate(first_step).map(apply, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def elastic(x: tf.Tensor, key: tf.Tensor, sigma: float = 1.0) -> tf.Tensor:
    """Deform images by the bilinear interpolation of random displacements of their four corners.

    Shapes: images (batch, height, width, channels), to the same; what comes from outside is 0.

    Args:
        x: images.
        key: int64 (2,), seed of the displacements.
        sigma: their standard deviation, pixels.
    """
    size, dtype = x.shape[1:3], x.dtype
    corners = sigma * tf.random.stateless_normal((tf.shape(x)[0], 2, 2, 2), key, dtype=dtype)
    rows, columns = tf.linspace(tf.zeros((), dtype), 1, size[0]), tf.linspace(tf.zeros((), dtype), 1, size[1])
    field = tf.einsum("yi,xj,bijd->dbyx", tf.stack([1 - rows, rows], 1), tf.stack([1 - columns, columns], 1), corners)
    # In images with a border of 0, on which all that comes from farther outside falls, too.
    padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    starts, shares = [], []
    for length, offsets, axis in zip(size, tf.unstack(field), (1, 0), strict=True):
        place = tf.expand_dims(tf.range(1, length + 1), axis)
        place = tf.clip_by_value(tf.cast(place, dtype) + offsets, 0, length + 1)
        start = tf.minimum(tf.floor(place), length)
        starts.append(tf.cast(start, tf.int32))
        shares.append((place - start)[..., None])

    def corner(down: int, right: int) -> tf.Tensor:
        return tf.gather_nd(padded, tf.stack([starts[0] + down, starts[1] + right], axis=-1), batch_dims=1)

    top = corner(0, 0) + shares[1] * (corner(0, 1) - corner(0, 0))
    bottom = corner(1, 0) + shares[1] * (corner(1, 1) - corner(1, 0))
    return top + shares[0] * (bottom - top)


def shifted(x: tf.Tensor, key: tf.Tensor, pixels: int = 2) -> tf.Tensor:
    """Move each image by a random number of pixels in both directions; what comes from outside is 0.

    Shapes: images (batch, height, width, channels), to the same.

    Args:
        x: images.
        key: int64 (2,), seed of the shifts.
        pixels: largest shift, at least 0.

    Example:
        >>> from ttfs_keras.data.augmentation import shifted
        >>> shifted(tf.ones((1, 3, 3, 1)), tf.constant([0, 0], tf.int64), pixels=0)[0, 0, :, 0].numpy().tolist()
        [1.0, 1.0, 1.0]
    """
    height, width = x.shape[1:3]
    padded = tf.pad(x, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]])
    offsets = tf.random.stateless_uniform((tf.shape(x)[0], 2), key, 0, 2 * pixels + 1, tf.int32)
    rows = offsets[:, 0, None] + tf.range(height)
    columns = offsets[:, 1, None] + tf.range(width)
    return tf.gather(tf.gather(padded, rows, batch_dims=1), columns, axis=2, batch_dims=1)


def flipped(x: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Mirror half of the images left to right; not for digits.

    Shapes: images (batch, height, width, channels), to the same.

    Args:
        x: images.
        key: int64 (2,), seed of the choice.
    """
    mirrored = tf.random.stateless_uniform((tf.shape(x)[0], 1, 1, 1), key) < 0.5
    return tf.where(mirrored, tf.reverse(x, [2]), x)
