"""The spike gate: from the membrane potential at the opening of a window to the lead time of the spike."""

from typing import Any

import tensorflow as tf


@tf.custom_gradient
def spike_gate(potential: Any, window: Any) -> Any:
    """Lead time of the first spike of neurons that integrate up to `t_min` and then rise with their slope.

    Forward, with z the potential in units of the slope (`z = (V(t_min) - V_rest + D)/B`) and X = t_max - t_min:

        x = t_max - t = min(max(z, 0), X)

    z <= 0 never reaches threshold inside the window and stays silent (x = 0); z >= X is above threshold when the
    window opens and fires at t_min (saturation, x = X). Backward:

        dx/dz = 1 where 0 < z <= X, else 0        dx/dX = 1 where z > X, else 0

    so that a trainable window is a trainable clip. Source: Stanojevic et al., Nature Communications 15:6793 (2024),
    eqs. for t_i and dt_i/dt_j in the B = 1 case, rewritten for lead times; saturation is this package's addition.

    Args:
        potential: `(batch, ..., neurons)` z, in window time.
        window: scalar X > 0, in window time.

    Returns:
        `(batch, ..., neurons)` lead times in [0, X].

    Example:
        >>> tk.ttfs.spike_gate(tf.constant([-1.0, 0.5, 3.0]), tf.constant(2.0)).numpy().tolist()
        [0.0, 0.5, 2.0]
    """

    def gradient(upstream):
        saturated = potential > window
        none = tf.zeros_like(upstream)
        to_potential = tf.where((potential > 0) & ~saturated, upstream, none)
        return to_potential, tf.reduce_sum(tf.where(saturated, upstream, none))

    # Not `tf.nn.relu`, which TensorFlow may fuse with a convolution into one that makes NaN 0.
    return tf.minimum(tf.maximum(potential, 0), window), gradient
