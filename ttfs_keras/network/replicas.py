"""Replicas that train together: gathering over them, and random draws that are counted and differ between them."""

import random
import zlib

import keras
import tensorflow as tf


def gather_replicas(value: tf.Tensor) -> tf.Tensor:
    """Stack a tensor over the replicas that train together, `(replicas, ...)`; one replica gives `(1, ...)`."""
    context = tf.distribute.get_replica_context()
    value = tf.expand_dims(value, 0)
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_gather(value, axis=0)


def drawn_seed(seed: int | None) -> int:
    """Return a seed, drawn at random if it is None."""
    return random.randrange(2**31) if seed is None else seed


def draw_counter(layer: keras.layers.Layer) -> keras.Variable:
    """Return a new weight of a layer that counts its random draws; the count is saved with the weights.

    A `keras.random.SeedGenerator` is not saved with them.
    """
    return layer.add_weight(
        name="draws", shape=(), dtype="int32", initializer="zeros", trainable=False, aggregation="only_first_replica"
    )


def next_draw(counter: keras.Variable, seed: int, stream: str) -> tf.Tensor:
    """Count a draw and return its seed, int32 (2,), for TensorFlow's stateless random functions.

    Args:
        counter: of `draw_counter`.
        seed: of the layer.
        stream: a name that sets layers apart that were given the same seed.
    """
    context = tf.distribute.get_replica_context()
    replica = 0 if context is None else context.replica_id_in_sync_group
    draw = tf.convert_to_tensor(counter)
    counter.assign(draw + 1)
    own = tf.stack([seed, zlib.crc32(stream.encode()) & 0x7FFFFFFF])
    return tf.random.fold_in(tf.random.fold_in(own, draw), replica)
