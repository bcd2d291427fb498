"""Multi-spike event-based networks with exact gradients of spike times (BATS; Bacho & Chu, arXiv 2212.09500).

A spike train is a tensor `(batch, neurons..., max_spikes)` of times in seconds, ascending and padded with inf.
"""

from ttfs_keras.bats import losses, metrics
from ttfs_keras.bats.bias import BiasNeuron
from ttfs_keras.bats.conv2d import BATSConv2D
from ttfs_keras.bats.delays import AxonalDelay
from ttfs_keras.bats.dense import BATSDense
from ttfs_keras.bats.encoder import LatencyEncoder
from ttfs_keras.bats.functional import conv2d, dense
from ttfs_keras.bats.merging import ConcatenateSpikes, FlattenSpikes, MergeSpikes
from ttfs_keras.bats.pooling import SpikePooling2D
from ttfs_keras.bats.potentials import LeakyIntegrator, MaximumPotential
from ttfs_keras.bats.rates import FiringRate
from ttfs_keras.bats.recovery import PeakPotential
from ttfs_keras.bats.scaling import SynapticScaling
from ttfs_keras.bats.weights import load_weights, save_weights

__all__ = [
    "AxonalDelay",
    "BATSConv2D",
    "BATSDense",
    "BiasNeuron",
    "ConcatenateSpikes",
    "FiringRate",
    "FlattenSpikes",
    "LatencyEncoder",
    "LeakyIntegrator",
    "MaximumPotential",
    "MergeSpikes",
    "PeakPotential",
    "SpikePooling2D",
    "SynapticScaling",
    "conv2d",
    "dense",
    "load_weights",
    "losses",
    "metrics",
    "save_weights",
]


def __dir__() -> list[str]:
    return __all__
