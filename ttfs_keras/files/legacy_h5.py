"""Weight files that Keras 2 wrote with `save_weights` or `save`."""

import collections
import functools
from collections.abc import Callable
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

    Nothing is loaded unless all that matched fits. A file lists the weights of a model within the model trainable ones
    first, so that frozen layers change their order: the layers in there are matched by their names, up to the numbers
    at their ends, which Keras counts on and on, or else by their shapes if all differ.

    Args:
        model: built `keras.Model`.
        path: file of `save_weights`, or of `save` (weights under the group `model_weights`).

    Returns:
        `LegacyReport`.

    Raises:
        WeightsError: the file is missing, truncated, holds NaN, differs in number or shape of the weights, or
            leaves open which layer within a model is which.

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
    problems, found = [], []
    for layer, name in pairs:
        try:
            arrays = _ordered(layer, stored[name])
        except WeightsError as error:
            problems.append(f"{layer.name}: {error} ({name})")
            continue
        found.append((layer, arrays))
        expected = [tuple(v.shape) for v in layer.weights]
        received = [array.shape for array in arrays]
        if expected != received:
            problems.append(f"{layer.name}: expected shapes {expected}. Received: {received} ({name})")
        elif not all(np.isfinite(array).all() for array in arrays):
            problems.append(f"{layer.name}: expected finite weights. Received: NaN or infinity ({name})")
    if problems:
        raise WeightsError(f"{path}:\n  " + "\n  ".join(problems))
    for layer, arrays in found:
        layer.set_weights(arrays)
    used = {name for _, name in pairs}
    matched = tuple((layer.name, name) for layer, name in pairs)
    loaded = {layer.name for layer, _ in pairs}
    return LegacyReport(matched, tuple(n for n in wanted if n not in loaded), tuple(n for n in stored if n not in used))


def _ordered(layer, stored):
    """Return the arrays of a layer of the file, `{name: array}`, in the order of the weights of a layer of the model.

    Raises:
        WeightsError: the layer holds others, and which of them is which cannot be told.
    """
    wanted = _by_owner((v.path, v) for v in layer.weights)
    if len(wanted) == 1 and len({v.path for v in layer.weights}) == len(layer.weights):
        return list(stored.values())
    owners = _by_owner(stored.items())
    for keys in _KEYS:
        ours, theirs = keys(wanted), keys(owners)
        if (len(ours), len(theirs)) == (len(wanted), len(owners)) and ours.keys() == theirs.keys():
            left = {ours[key]: list(owners[theirs[key]]) for key in ours}
            if all(len(left[owner]) == len(weights) for owner, weights in wanted.items()):
                return [left[_owner(v.path)].pop(0) for v in layer.weights]
    raise WeightsError(
        f"expected layers within it as in the file, {', '.join(owners)}, by name, because their order there depends on "
        f"which of them were frozen. Received: {', '.join(wanted)}"
    )


def _by_owner(weights):
    """Return `{path of a layer: list of its own weights}` of (path of a weight, weight) pairs, in their order."""
    owners = collections.defaultdict(list)
    for path, weight in weights:
        owners[_owner(path)].append(weight)
    return dict(owners)


def _owner(path):
    return path.rpartition("/")[0]


# Ways to tell layers apart. Each returns `{key: path}` of `{path: weights}`, fewer of them where two share a key.


def _names(owners, depth):
    """By the last parts of the path."""
    return {tuple(path.split("/")[-depth:]): path for path in owners}


def _counted(owners, depth):
    """By the same with numbers at the end counted from 0."""
    found = collections.defaultdict(list)
    for key, path in _names(owners, depth).items():
        name, _, number = key[-1].rpartition("_")
        name, count = (name, int(number)) if name and number.isdecimal() else (key[-1], 0)
        found[(*key[:-1], name)].append((count, path))
    return {(*key, n): path for key, paths in found.items() for n, (_, path) in enumerate(sorted(paths))}


def _shapes(owners):
    """By the shapes of the weights."""
    return {tuple(tuple(weight.shape) for weight in weights): path for path, weights in owners.items()}


_KEYS: list[Callable[[dict], dict]] = [
    *(functools.partial(keys, depth=depth) for keys in (_names, _counted) for depth in (1, 2)), _shapes
]  # fmt: skip


def _read(path):
    """Return {layer name: {weight name: array}} of the layers with weights, in the file's order."""
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            if "layer_names" not in root.attrs:
                raise WeightsError(f"{path}: expected a Keras-2 weight file. Received: a file without layer_names")
            layers = {_text(name): root[_text(name)] for name in root.attrs["layer_names"]}
            arrays = {n: {_text(w): g[_text(w)][()] for w in g.attrs["weight_names"]} for n, g in layers.items()}
    except (OSError, KeyError) as error:
        raise WeightsError(f"{path}: expected a readable Keras-2 weight file. Received: {error}") from error
    return {name: weights for name, weights in arrays.items() if weights}


def _text(name):
    return name.decode() if isinstance(name, bytes) else name
