"""Figures of a run folder, drawn from plain numbers: no model and no TensorFlow object comes in here."""

from ttfs_keras.plots.count_map import count_map
from ttfs_keras.plots.decision_map import decision_map
from ttfs_keras.plots.heat_map import heat_map
from ttfs_keras.plots.layer_errors import layer_errors
from ttfs_keras.plots.monitor import monitor
from ttfs_keras.plots.read_metrics import read_metrics
from ttfs_keras.plots.spike_raster import spike_raster
from ttfs_keras.plots.spike_time_histogram import spike_time_histogram
from ttfs_keras.plots.spikes_per_neuron import spikes_per_neuron
from ttfs_keras.plots.train_raster import train_raster
from ttfs_keras.plots.training_curves import training_curves

__all__ = [
    "count_map",
    "decision_map",
    "heat_map",
    "layer_errors",
    "monitor",
    "read_metrics",
    "spike_raster",
    "spike_time_histogram",
    "spikes_per_neuron",
    "train_raster",
    "training_curves",
]
