"""Initializers for the alpha1 parameterization."""

from typing import Any

import keras
from keras import ops


class _Alpha1Initializer(keras.initializers.Initializer):
    """Keep the initializer that draws the equivalent ReLU weights."""

    def __init__(self, initializer: Any = "he_normal"):
        self.initializer = keras.initializers.get(initializer)

    def get_config(self):
        return {"initializer": keras.initializers.serialize(self.initializer)}


@keras.saving.register_keras_serializable(package="ttfs_keras")
class NaiveAlpha1(_Alpha1Initializer):
    """Draw the synaptic weights W themselves; many slopes 1 + sum_j W_ij then lie near 0 or below.

    Args:
        initializer: draws W.

    Example:
        >>> tk.NaiveAlpha1("ones")((2, 3)).shape
        TensorShape([2, 3])
    """

    def __call__(self, shape, dtype=None):
        return self.initializer(shape, dtype=dtype)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class SmartAlpha1(_Alpha1Initializer):
    """Draw the equivalent ReLU weights w and return the W that realize them.

        W_ij = w_ij/(1 - S_i),  S_i = sum_k w_ik

    A row whose sum leaves [-10, 0.99] is scaled back into it first, as positive homogeneity of ReLU allows and B_i > 0
    demands. Source: Stanojevic et al., Nature Communications 15:6793 (2024); the interval: arXiv 2212.12522.

    Args:
        initializer: draws w.

    Example:
        >>> weights = tk.SmartAlpha1(keras.initializers.Constant(0.25))((2, 1))
        >>> (weights / (1 + keras.ops.sum(weights, axis=0))).numpy().tolist()  # w = W/B
        [[0.25], [0.25]]
    """

    LOWEST, HIGHEST = -10.0, 0.99

    def __call__(self, shape, dtype=None):
        weights = self.initializer(shape, dtype=dtype)
        total = ops.sum(weights, axis=tuple(range(len(shape) - 1)))
        kept = ops.clip(total, self.LOWEST, self.HIGHEST)
        # Unclipped rows keep a factor of exactly 1, a zero sum among them.
        factor = ops.where(kept == total, ops.ones_like(total), kept / ops.where(total == 0, 1, total))
        return weights * factor / (1 - kept)
