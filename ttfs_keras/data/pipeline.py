"""Batches in an order that depends on nothing but the seed and the epoch, so that a resumed run sees the same ones."""

import numpy as np
import tensorflow as tf

from ttfs_keras.errors import ConfigurationError, DataError


def steps(n: int, batch_size: int) -> int:
    """Return the number of batches that `n` samples fill, the last one perhaps in part.

    Raises:
        ConfigurationError: `batch_size` is below 1.

    Example:
        >>> from ttfs_keras.data import steps
        >>> steps(100, 32)
        4
    """
    if batch_size < 1:
        raise ConfigurationError(f"Expected batch_size to be at least 1. Received: batch_size={batch_size}.")
    return -(-n // batch_size)


def batches(x: np.ndarray, y: np.ndarray, batch_size: int, seed: int, first_epoch: int, epochs: int) -> tf.data.Dataset:
    """Return the batches of the epochs first_epoch..epochs-1, one epoch after another.

    Each epoch is a permutation of all samples determined by (seed, epoch); its last batch may be smaller. Use it as
    `model.fit(batches(...), steps_per_epoch=steps(n, batch_size), initial_epoch=first_epoch, epochs=epochs,
    shuffle=False)`; without the last argument Keras warns that it will not shuffle a data set.

    Args:
        x: (n, ...), n >= 1.
        y: (n, ...).
        batch_size: samples in a batch.
        seed: any integer.
        first_epoch: epochs already done, 0 for a new run.
        epochs: epochs of the whole run.

    Returns:
        Pairs of (batch, ...) tensors with the types of x and y.

    Raises:
        DataError: x is empty, or x and y differ in length.
        ConfigurationError: batch_size < 1, or not 0 <= first_epoch <= epochs.

    Example:
        >>> from ttfs_keras.data import batches
        >>> x, y = np.arange(5.0), np.arange(5)
        >>> [len(labels) for _, labels in batches(x, y, batch_size=2, seed=0, first_epoch=0, epochs=1)]
        [2, 2, 1]
    """
    n = len(x)
    if n == 0 or len(y) != n:
        raise DataError(f"Expected one label for each of at least one sample. Received: {n} samples, {len(y)} labels.")
    if not 0 <= first_epoch <= epochs:
        raise ConfigurationError(
            f"Expected 0 <= first_epoch <= epochs. Received: first_epoch={first_epoch}, epochs={epochs}."
        )
    per_epoch = steps(n, batch_size)
    whole = n // batch_size * batch_size
    # On an accelerator the arrays would take the memory the model needs, and be copied back for every batch.
    with tf.device("/CPU:0"):
        samples, targets = tf.convert_to_tensor(x), tf.convert_to_tensor(y)

    def epoch_indices(epoch: tf.Tensor) -> tf.data.Dataset:
        # A named algorithm, because "auto_select" gives other numbers on other devices.
        order = tf.random.experimental.stateless_shuffle(
            tf.range(n, dtype=tf.int64), seed=tf.stack([tf.constant(int(seed) % 2**63, tf.int64), epoch]), alg="philox"
        )
        # Slicing whole batches costs a step of tf.data for each batch instead of one for each sample.
        indices = tf.data.Dataset.from_tensor_slices(tf.reshape(order[:whole], (-1, batch_size)))
        if whole < n:
            indices = indices.concatenate(tf.data.Dataset.from_tensors(order[whole:]))
        return indices

    def gather(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(samples, indices), tf.gather(targets, indices)

    return (
        tf.data.Dataset.range(first_epoch, epochs)
        .flat_map(epoch_indices)
        .map(gather, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .apply(tf.data.experimental.assert_cardinality((epochs - first_epoch) * per_epoch))
        .prefetch(tf.data.AUTOTUNE)
    )
