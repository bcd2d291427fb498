"""Models and their weights in files, written whole or not at all."""

import io
from pathlib import Path

import keras

from ttfs_keras.files.atomic import replacing


def save_model(model: keras.Model, path: str | Path) -> None:
    """Write a model to a `.keras` file.

    Raises:
        OSError: the file cannot be written; it is then what it was before.
    """
    _save(model.save, path)


def save_weights(model: keras.Model, path: str | Path) -> None:
    """Write a model's weights to a `.weights.h5` file.

    Raises:
        OSError: the file cannot be written; it is then what it was before.
    """
    _save(model.save_weights, path)


class _Memory(io.BytesIO):
    """A file in memory whose text is a path, which Keras takes the format from.

    HDF5 ends the whole process where a file cannot be closed because the disk is full.
    """

    def __init__(self, path: str | Path):
        super().__init__()
        self._path = str(path)

    def __str__(self) -> str:
        return self._path


def _save(write, path):
    file = _Memory(path)
    write(file)
    with replacing(path) as temporary:
        temporary.write_bytes(file.getbuffer())
