"""How each kind of operation is mapped; importing this package registers the rules."""

from ttfs_keras.conversion.rules import activation, arithmetic, linear, merging, normalization, pooling, shape, time

__all__ = ["activation", "arithmetic", "linear", "merging", "normalization", "pooling", "shape", "time"]
