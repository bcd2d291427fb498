"""Architectures: trained as ReLU models; `tk.convert` makes the spiking twin of any of them."""

from ttfs_keras.models.families import relu_model

__all__ = ["relu_model"]
