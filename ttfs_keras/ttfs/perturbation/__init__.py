"""Imperfections of hardware, composed into TTFS layers: spike-time jitter, coarse times, coarse weights.

A TTFS layer calls the hooks of its perturbations in training and in evaluation alike. All gradients are
straight-through: the rounded or moved value goes forward, the gradient passes as if it were the exact one
(Bengio et al., arXiv 1308.3432).
"""

from ttfs_keras.ttfs.perturbation.early_closing import EarlyClosing
from ttfs_keras.ttfs.perturbation.jitter import SpikeTimeJitter
from ttfs_keras.ttfs.perturbation.perturbation import Perturbation, get, serialize, straight_through
from ttfs_keras.ttfs.perturbation.time_quantization import TimeQuantization
from ttfs_keras.ttfs.perturbation.weight_quantization import WeightQuantization

__all__ = [
    "EarlyClosing",
    "Perturbation",
    "SpikeTimeJitter",
    "TimeQuantization",
    "WeightQuantization",
    "get",
    "serialize",
    "straight_through",
]
