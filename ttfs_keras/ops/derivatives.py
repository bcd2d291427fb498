"""Multi-spike layers can be differentiated once; twice is an error, not a wrong number."""

import tensorflow as tf


def no_second_derivative(*_):
    """Raise a NotImplementedError; in place of the gradient of a gradient."""
    raise NotImplementedError(
        "Multi-spike (BATS) layers have first derivatives only. Received: a gradient of their gradient, as of a "
        "gradient penalty or a Hessian. Use finite differences of the gradient, or leave BATS layers out of it"
    )


@tf.custom_gradient
def _last(gradient):
    return tf.identity(gradient), no_second_derivative


@tf.custom_gradient
def once(tensor):
    """Return a tensor whose gradient has none."""
    return tf.identity(tensor), _last
