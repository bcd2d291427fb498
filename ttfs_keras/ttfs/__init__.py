"""Time-to-first-spike layers; spikes travel between them as lead times `t_max - t`."""

from ttfs_keras.ttfs.affine import Affine
from ttfs_keras.ttfs.conv2d import TTFSConv2D
from ttfs_keras.ttfs.dense import TTFSDense
from ttfs_keras.ttfs.encoder import TTFSEncoder
from ttfs_keras.ttfs.gate import spike_gate
from ttfs_keras.ttfs.initializers import NaiveAlpha1, SmartAlpha1
from ttfs_keras.ttfs.interpolation import Interpolation
from ttfs_keras.ttfs.neuron import TTFSNeuron
from ttfs_keras.ttfs.perturbation import (
    EarlyClosing,
    Perturbation,
    SpikeTimeJitter,
    TimeQuantization,
    WeightQuantization,
)
from ttfs_keras.ttfs.pooling import (
    TTFSGlobalMaxPooling1D,
    TTFSGlobalMaxPooling2D,
    TTFSGlobalMaxPooling3D,
    TTFSMaxPooling1D,
    TTFSMaxPooling2D,
    TTFSMaxPooling3D,
)
from ttfs_keras.ttfs.readout import TTFSReadout
from ttfs_keras.ttfs.schedule import schedule
from ttfs_keras.ttfs.simulation.simulate import simulate
from ttfs_keras.ttfs.sparsity import LeadTimeL1, SpikesPerNeuron, sparsify
from ttfs_keras.ttfs.spike_times import spike_times
from ttfs_keras.ttfs.summary import summary
from ttfs_keras.ttfs.windows import FixedWindow, GrowToMaximum, TrackQuantile

__all__ = [
    "Affine",
    "EarlyClosing",
    "FixedWindow",
    "GrowToMaximum",
    "Interpolation",
    "LeadTimeL1",
    "NaiveAlpha1",
    "Perturbation",
    "SmartAlpha1",
    "SpikeTimeJitter",
    "SpikesPerNeuron",
    "TTFSConv2D",
    "TTFSDense",
    "TTFSEncoder",
    "TTFSGlobalMaxPooling1D",
    "TTFSGlobalMaxPooling2D",
    "TTFSGlobalMaxPooling3D",
    "TTFSMaxPooling1D",
    "TTFSMaxPooling2D",
    "TTFSMaxPooling3D",
    "TTFSNeuron",
    "TTFSReadout",
    "TimeQuantization",
    "TrackQuantile",
    "WeightQuantization",
    "schedule",
    "simulate",
    "sparsify",
    "spike_gate",
    "spike_times",
    "summary",
]
