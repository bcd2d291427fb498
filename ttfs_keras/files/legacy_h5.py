"""Weight files that Keras 2 wrote with `save_weights` or `save`."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import keras
import numpy as np

from ttfs_keras.errors import WeightsError


@dataclass(frozen=True)
class LegacyReport:
    """What `load_legacy_h5` did.

    Attributes:
        matched: (layer of the model, layer of the file) pairs that were loaded.
        missing: layers of the model that kept the weights they had (by name only).
        unused: layers of the file that no layer of the model asked for (by name only).
    """

    matched: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self):
        return f"{len(self.matched)} layers loaded, missing: {self.missing or 'none'}, unused: {self.unused or 'none'}"


def load_legacy_h5(model: keras.Model, path: str | Path) -> LegacyReport:
    """Load a Keras-2 `.h5` weight file: by name if every layer is named in it, else in order, else what names match.

    Nothing is loaded unless all that matched fits.

    Args:
        model: built `keras.Model`.
        path: file of `save_weights`, or of `save` (weights under the group `model_weights`).

    Returns:
        `LegacyReport`.

    Raises:
        WeightsError: the file is missing, truncated, holds NaN, or differs in number or shape of the weights.

    Example:
        >>> tk.load_legacy_h5(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]), "missing.h5")
        Traceback (most recent call last):
        ...
        ttfs_keras.errors.WeightsError: missing.h5: expected a readable Keras-2 weight file. Received: ...
    """
    stored = _read(path)
    wanted = {layer.name: layer for layer in model.layers if layer.weights}
    by_name = [(layer, name) for name, layer in wanted.items() if name in stored]
    if len(by_name) < len(wanted) == len(stored):  # names as common as dense_1 may agree by chance
        pairs = list(zip(wanted.values(), stored, strict=True))
    elif by_name:
        pairs = by_name
    else:
        raise WeightsError(
            f"{path}: no layer name matches, and in order expected {len(wanted)} layers with weights. "
            f"Received: {len(stored)} ({', '.join(stored)})"
        )
    problems = []
    for layer, name in pairs:
        expected = [tuple(v.shape) for v in layer.weights]
        received = [array.shape for array in stored[name]]
        if expected != received:
            problems.append(f"{layer.name}: expected shapes {expected}. Received: {received} ({name})")
        elif not all(np.isfinite(array).all() for array in stored[name]):
            problems.append(f"{layer.name}: expected finite weights. Received: NaN or infinity ({name})")
    if problems:
        raise WeightsError(f"{path}:\n  " + "\n  ".join(problems))
    for layer, name in pairs:
        layer.set_weights(stored[name])
    used = {name for _, name in pairs}
    matched = tuple((layer.name, name) for layer, name in pairs)
    loaded = {layer.name for layer, _ in pairs}
    return LegacyReport(matched, tuple(n for n in wanted if n not in loaded), tuple(n for n in stored if n not in used))


def _read(path):
    """Return {layer name: list of arrays} of the layers with weights, in the file's order."""
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            if "layer_names" not in root.attrs:
                raise WeightsError(f"{path}: expected a Keras-2 weight file. Received: a file without layer_names")
            layers = {_text(name): root[_text(name)] for name in root.attrs["layer_names"]}
            arrays = {n: [g[_text(w)][()] for w in g.attrs["weight_names"]] for n, g in layers.items()}
    except (OSError, KeyError) as error:
        raise WeightsError(f"{path}: expected a readable Keras-2 weight file. Received: {error}") from error
    return {name: list_ for name, list_ in arrays.items() if list_}


def _text(name):
    return name.decode() if isinstance(name, bytes) else name
