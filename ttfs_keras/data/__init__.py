"""Data sets (embedded, local files, Keras cache, tensorflow_datasets), and batches that resume exactly."""

from ttfs_keras.data.datasets import Dataset, load
from ttfs_keras.data.pipeline import batches, steps
from ttfs_keras.data.specs import DatasetSpec, names, spec
from ttfs_keras.network.inputs import outside_range

__all__ = ["Dataset", "DatasetSpec", "batches", "load", "names", "outside_range", "spec", "steps"]
