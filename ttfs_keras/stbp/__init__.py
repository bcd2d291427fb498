"""Deep spiking networks trained directly, with surrogate gradients and threshold-dependent batch norm.

Sequences are `[batch, time, ...]`; time is folded into the batch for convolutions and batch norms, and only the neurons
walk through it. Sources: Wu et al. (2018), Frontiers in Neuroscience 12:331; Zheng et al., arXiv 2011.05280.
"""

from ttfs_keras.stbp import surrogates
from ttfs_keras.stbp.decoders import LastPotential, MeanOverTime
from ttfs_keras.stbp.encoders import BernoulliEncoder, DirectEncoder, FirstSpikeEncoder
from ttfs_keras.stbp.fold import fold_tdbn
from ttfs_keras.stbp.from_relu import from_relu, relu_twin
from ttfs_keras.stbp.health import HealthCheck
from ttfs_keras.stbp.lif import LIF
from ttfs_keras.stbp.rates import accuracy_by_time, firing_rates
from ttfs_keras.stbp.reestimate import reestimate_statistics
from ttfs_keras.stbp.residual import residual_block
from ttfs_keras.stbp.resnet import resnet9, resnet19
from ttfs_keras.stbp.sequence import lif_sequence
from ttfs_keras.stbp.settings import Settings
from ttfs_keras.stbp.tdbn import ThresholdDependentBatchNormalization, check_trained
from ttfs_keras.stbp.time import RepeatSteps, TimeFolded

__all__ = [
    "LIF",
    "BernoulliEncoder",
    "DirectEncoder",
    "FirstSpikeEncoder",
    "HealthCheck",
    "LastPotential",
    "MeanOverTime",
    "RepeatSteps",
    "Settings",
    "ThresholdDependentBatchNormalization",
    "TimeFolded",
    "accuracy_by_time",
    "check_trained",
    "firing_rates",
    "fold_tdbn",
    "from_relu",
    "lif_sequence",
    "reestimate_statistics",
    "relu_twin",
    "residual_block",
    "resnet9",
    "resnet19",
    "surrogates",
]
