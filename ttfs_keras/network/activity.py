"""What Keras makes of the value of an activity regularizer."""

import keras
import tensorflow as tf

# Whether Keras divides what an activity regularizer returns by the batch: it does from 3.14 on.
DIVIDED = tuple(int(part) for part in keras.__version__.split(".")[:2]) >= (3, 14)


def undivided(penalty: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Return what an activity regularizer must return so that a layer adds a penalty, whatever the batch size.

    Args:
        penalty: scalar.
        outputs: of the layer, `(batch, ...)`; 0 for an empty batch.
    """
    batch = tf.cast(tf.shape(outputs)[0], penalty.dtype)
    return penalty * (batch if DIVIDED else tf.minimum(batch, 1))
