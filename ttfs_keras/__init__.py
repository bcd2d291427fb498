"""Exact spiking networks for TensorFlow and Keras 3."""

from ttfs_keras.errors import ConfigurationError, ConversionError, DataError, WeightsError
from ttfs_keras.ttfs.conv2d import TTFSConv2D
from ttfs_keras.ttfs.dense import TTFSDense
from ttfs_keras.ttfs.encoder import TTFSEncoder
from ttfs_keras.ttfs.initializers import NaiveAlpha1, SmartAlpha1
from ttfs_keras.ttfs.neuron import TTFSNeuron
from ttfs_keras.ttfs.perturbation import SpikeTimeJitter, TimeQuantization, WeightQuantization
from ttfs_keras.ttfs.pooling import TTFSMaxPooling2D
from ttfs_keras.ttfs.readout import TTFSReadout
from ttfs_keras.ttfs.windows import FixedWindow, GrowToMaximum, TrackQuantile
