"""Weights as one .npy file a layer, neurons first, as the reference code of BATS writes and reads them."""

from pathlib import Path

import keras
import numpy as np

from ttfs_keras.bats.multi_spike import MultiSpikeLayer
from ttfs_keras.bats.potentials import Potential
from ttfs_keras.errors import WeightsError
from ttfs_keras.files.atomic import replacing
from ttfs_keras.network.graph import layers_of

__all__ = ["layers", "load_weights", "save_weights"]


def layers(model: keras.Model) -> list[MultiSpikeLayer | Potential]:
    """Return the multi-spike layers of a model and of its nested models, read-outs of potentials among them."""
    return layers_of(model, (MultiSpikeLayer, Potential))


def save_weights(model: keras.Model, folder: str | Path) -> None:
    """Write `<layer>_weights.npy` for each multi-spike layer: dense (post, pre), convolution (post, ky, kx, channels).

    Constants of neurons that train are not written.

    Args:
        model: `keras.Model`.
        folder: created if missing.

    Raises:
        ValueError: two layers have the same name.

    Example:
        >>> import tempfile
        >>> inputs = keras.Input((784, 1))
        >>> model = keras.Model(inputs, bats.BATSDense(10, name="output")(inputs))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     bats.save_weights(model, folder)  # output_weights.npy
        ...     bats.load_weights(model, folder)
    """
    files = _files(model, folder)
    for path, layer in files.items():
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, np.moveaxis(np.asarray(layer.kernel), -1, 0))


def load_weights(model: keras.Model, folder: str | Path) -> None:
    """Assign the weights that `save_weights` wrote.

    Args:
        model: `keras.Model` with the same layer names.
        folder: of the files.

    Raises:
        ValueError: two layers have the same name.
        WeightsError: files that are missing, not readable, of another shape or not finite; all of them at once, and
            nothing is assigned.

    Example: see `save_weights`.

    Example:
        >>> model = keras.Sequential([keras.Input((5, 1)), bats.BATSDense(3, name="output")])
        >>> bats.load_weights(model, "missing_folder")
        Traceback (most recent call last):
        ...
        ttfs_keras.errors.WeightsError: missing_folder does not fit the network: ...
    """
    problems, kernels = [], []
    for path, layer in _files(model, folder).items():
        *rest, neurons = layer.kernel.shape
        expected = (neurons, *rest)
        try:
            array = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            problems.append(f"{path}: {error}")
            continue
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
            problems.append(f"{path}: expected an array of real numbers. Received: {getattr(array, 'dtype', array)}")
            continue
        if array.shape != expected:
            problems.append(f"{path}: expected shape {expected}, neurons first. Received: {array.shape}")
            continue
        with np.errstate(over="ignore"):  # values too large for the layer's dtype become infinite and are refused
            array = array.astype(layer.kernel.dtype)
        if not np.isfinite(array).all():
            problems.append(f"{path}: expected finite weights. Received: NaN or infinity")
        kernels.append((layer.kernel, np.moveaxis(array, 0, -1)))
    if problems:
        raise WeightsError(f"{folder} does not fit the network:\n  " + "\n  ".join(problems))
    for variable, kernel in kernels:
        variable.assign(kernel)


def _files(model: keras.Model, folder: str | Path) -> dict[Path, MultiSpikeLayer | Potential]:
    found = layers(model)
    names = [layer.name for layer in found]
    if shared := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"Expected a different name for each multi-spike layer. Received twice: {', '.join(shared)}")
    return {Path(folder) / f"{layer.name}_weights.npy": layer for layer in found}
