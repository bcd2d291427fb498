"""Data sets (embedded, local files, Keras cache, tensorflow_datasets), and batches that resume exactly."""

from ttfs_keras.data.datasets import Dataset, load
from ttfs_keras.data.pipeline import batches, steps
from ttfs_keras.data.ranges import outside_range
from ttfs_keras.data.specs import DatasetSpec, names, spec

__all__ = ["Dataset", "DatasetSpec", "batches", "load", "names", "outside_range", "spec", "steps"]
