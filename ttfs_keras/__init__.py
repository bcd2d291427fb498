"""Exact spiking networks for TensorFlow and Keras 3.

Between TTFS layers a spike at time t in its window [t_min, t_max] travels as its **lead time** `t_max - t`: 0 is no
spike, the width of the window is a spike at t_min. A layer is then the ReLU layer's own product and costs what that
costs; `spike_times` recovers absolute times, and `simulate` proves them, integrating membranes spike by
spike.
"""

import keras

from ttfs_keras import bats, stbp, ttfs
from ttfs_keras.conversion.convert import convert
from ttfs_keras.conversion.registry import register_converter
from ttfs_keras.conversion.verify import verify
from ttfs_keras.errors import ConfigurationError, ConversionError, DataError, OpLibraryError, WeightsError
from ttfs_keras.files.legacy_h5 import load_legacy_h5
from ttfs_keras.inference.network import event_driven
from ttfs_keras.metrics.card import metric_card
from ttfs_keras.metrics.operations import synaptic_operations
from ttfs_keras.network.spiking import spikes
from ttfs_keras.ttfs.conv2d import TTFSConv2D
from ttfs_keras.ttfs.dense import TTFSDense
from ttfs_keras.ttfs.encoder import TTFSEncoder
from ttfs_keras.ttfs.initializers import NaiveAlpha1, SmartAlpha1
from ttfs_keras.ttfs.neuron import TTFSNeuron
from ttfs_keras.ttfs.perturbation import SpikeTimeJitter, TimeQuantization, WeightQuantization
from ttfs_keras.ttfs.pooling import (
    TTFSGlobalMaxPooling1D,
    TTFSGlobalMaxPooling2D,
    TTFSGlobalMaxPooling3D,
    TTFSMaxPooling1D,
    TTFSMaxPooling2D,
    TTFSMaxPooling3D,
)
from ttfs_keras.ttfs.readout import TTFSReadout
from ttfs_keras.ttfs.simulation.simulate import simulate
from ttfs_keras.ttfs.spike_times import spike_times
from ttfs_keras.ttfs.summary import summary
from ttfs_keras.ttfs.windows import FixedWindow, GrowToMaximum, TrackQuantile
from ttfs_keras.version import __version__  # noqa: F401 - ttfs_keras.__version__

if keras.backend.backend() != "tensorflow":
    raise ImportError(f"ttfs_keras needs Keras on TensorFlow. Received: KERAS_BACKEND={keras.backend.backend()}")

__all__ = [
    "ConfigurationError",
    "ConversionError",
    "DataError",
    "FixedWindow",
    "GrowToMaximum",
    "NaiveAlpha1",
    "OpLibraryError",
    "SmartAlpha1",
    "SpikeTimeJitter",
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
    "WeightsError",
    "bats",
    "convert",
    "event_driven",
    "load_legacy_h5",
    "metric_card",
    "register_converter",
    "simulate",
    "spike_times",
    "spikes",
    "stbp",
    "summary",
    "synaptic_operations",
    "ttfs",
    "verify",
]


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
