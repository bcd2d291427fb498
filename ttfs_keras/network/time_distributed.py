"""`TimeDistributed` models and pools as the layers that they consist of, each for all steps."""

from typing import Any

import keras
from keras import layers

_POOLS = (
    layers.MaxPooling1D, layers.MaxPooling2D, layers.AveragePooling1D, layers.AveragePooling2D,
    layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D,
)  # fmt: skip
_MERGES = (layers.Add, layers.Subtract, layers.Average, layers.Maximum, layers.Minimum)


def in_steps(operation: Any, *tensors: Any, run: Any) -> Any:
    """Return what an operation makes of each step of symbolic tensors `(batch, steps, ...)`.

    Args:
        operation: of one step.
        tensors: that it takes.
        run: function `run(model, tensors, call)` that calls the operations of a model by `call(operation, *tensors)`.

    Raises:
        NotImplementedError: the operation takes several tensors, or is a function of `keras.ops`.
    """
    if isinstance(operation, keras.Model):
        return run(
            operation, tensors, lambda inner, *inputs, **_: in_steps(inner, *keras.tree.flatten(inputs), run=run)
        )
    if isinstance(operation, _MERGES) or (isinstance(operation, layers.Concatenate) and operation.axis == -1):
        return operation(list(tensors))
    if len(tensors) > 1 or not isinstance(operation, layers.Layer):
        raise NotImplementedError
    (tensor,) = tensors
    return _pooled(operation, tensor) if isinstance(operation, _POOLS) else _wrapped(operation, tensor)


def _wrapped(layer, tensor):
    return layers.TimeDistributed(layer, name=layer.name, dtype=layer.dtype_policy)(tensor)


def _pooled(pool, tensor):
    """Pool with the steps among the channels, which are pooled each on its own."""
    steps, *image, channels = tensor.shape[1:]
    rank = len(image)

    def moved(kind, x, argument, place):
        return kind(argument, name=f"{pool.name}_{place}", dtype=pool.dtype_policy)(x)

    x = moved(layers.Permute, tensor, (*range(2, rank + 2), 1, rank + 2), "steps_last")
    x = pool(moved(layers.Reshape, x, (*image, steps * channels), "merged"))
    left = x.shape[1:-1]
    x = moved(layers.Reshape, x, (*left, steps, channels), "parted")
    return moved(layers.Permute, x, (len(left) + 1, *range(1, len(left) + 1), len(left) + 2), "steps_first")
