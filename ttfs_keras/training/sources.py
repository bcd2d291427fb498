"""The model a run starts from: new, or loaded from a file."""

import contextlib
import logging
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from ttfs_keras.conversion.convert import convert
from ttfs_keras.data import Dataset
from ttfs_keras.errors import WeightsError
from ttfs_keras.files.legacy_h5 import load_legacy_h5
from ttfs_keras.network.graph import Graph, as_functional
from ttfs_keras.network.spiking import read_out_time
from ttfs_keras.training.configuration import Configuration
from ttfs_keras.ttfs.lead_times import LeadTimes
from ttfs_keras.ttfs.perturbation import Perturbation, SpikeTimeJitter, TimeQuantization, WeightQuantization
from ttfs_keras.ttfs.sparsity import unpenalized

logger = logging.getLogger("ttfs_keras")

# Images for the windows of untrained networks; training moves them anyway.
CALIBRATION = 1000


def perturbation(configuration: Configuration) -> list[Perturbation]:
    """Return the perturbations that the flags ask for."""
    c = configuration
    found: list[Perturbation] = []
    if c.weight_bits:
        found.append(WeightQuantization(c.weight_bits, c.w_min, c.w_max, c.weight_per_channel))
    if c.noise:
        found.append(SpikeTimeJitter(c.noise, seed=c.seed))
    if c.time_bits:
        found.append(TimeQuantization(c.time_bits))
    return found


def initial_model(configuration: Configuration, data: Dataset) -> tuple[keras.Model, keras.Model | None]:
    """Return the model to train and the loaded ReLU model it was mapped from, or None.

    Args:
        configuration: the run's `Configuration`.
        data: its `Dataset`.

    Raises:
        WeightsError: the file is truncated or does not fit the data or the architecture.
        ConversionError: a loaded model cannot be mapped.
    """
    c = configuration
    path = c.load_path
    if path is None:
        model = c.experiment.network(data.image_shape, data.classes, c.units, c.depth, c.dtype)
    else:
        model = _load(c, path, data)
    if c.model_type == "ReLU" or _unit(model) == LeadTimes.time_unit:
        return model, None
    spiking = convert(
        model,
        data.x_train if path is not None else data.x_train[:CALIBRATION],
        data.input_range,
        margin=0.0 if c.latency_quantiles else c.margin,
        quantile=c.latency_quantiles or None,
        perturbation=perturbation(c),
    )
    return spiking, model if path is not None else None


def load_keras(path: Path, data: Dataset, dtype: str) -> keras.Model:
    """Return the model in a .keras file.

    Args:
        path: the file.
        data: the `Dataset` it must fit.
        dtype: of its output, as it must be.

    Raises:
        WeightsError: the file is not readable, or does not fit.
    """
    with _loading(f"{path}: expected a model saved by Keras 3"):
        model = unpenalized(keras.saving.load_model(path))
    try:
        functional = as_functional(model)  # a Sequential model may have no outputs of its own
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from error
    expected = ([(None, *data.image_shape)], [(None, data.classes)])
    received = ([tensor.shape for tensor in functional.inputs], [tensor.shape[:2] for tensor in functional.outputs])
    if received != expected:
        raise WeightsError(f"{path}: expected input and output shapes {expected} for {data.name}. Received: {received}")
    if (received := functional.outputs[0].dtype) != dtype:
        raise WeightsError(f"{path}: expected dtype {dtype}. Received: {received}")
    _require_finite(path, model)
    return model


def load_weights_h5(path: Path, model: keras.Model, model_name: str) -> None:
    """Assign the weights in a .weights.h5 file of Keras 3.

    Args:
        path: the file.
        model: the model to load into; after an error its weights may be a mixture.
        model_name: for the error.

    Raises:
        WeightsError: the file is not readable, does not fit or is not finite.
    """
    with _loading(f"{path}: expected weights of {model_name}"):
        model.load_weights(path)
    _require_finite(path, model)


def _load(configuration: Configuration, path: Path, data: Dataset) -> keras.Model:
    c = configuration
    if path.suffix == ".keras":
        model = load_keras(path, data, c.dtype)
        if _unit(model) not in ((None, LeadTimes.time_unit) if c.model_type == "SNN" else (None,)):
            raise WeightsError(f"{path}: expected a ReLU model for model_type {c.model_type}. Received: a spiking one")
        return model
    model = c.experiment.network(data.image_shape, data.classes, c.units, c.depth, c.dtype)
    if path.name.endswith(".weights.h5"):
        load_weights_h5(path, model, c.model_name)
    else:
        report = load_legacy_h5(model, path)
        logger.info("%s: %s", path, report)
        if report.missing:
            raise WeightsError(f"{path}: expected weights for every layer. Received: none for {report.missing}")
        _require_finite(path, model)
    return model


def _unit(model: keras.Model) -> str | None:
    """Return the unit of a spiking model's times, None of a ReLU model's."""
    return read_out_time(Graph(model))[1]


def _require_finite(path: Path, model: keras.Model) -> None:
    broken = [v.path for v in model.variables if not np.isfinite(np.asarray(v)).all()]
    if broken:
        raise WeightsError(f"{path}: expected finite weights. Received: NaN or infinity in {', '.join(broken)}")


@contextlib.contextmanager
def _loading(expectation: str) -> Iterator[None]:
    """Turn Keras's errors into `WeightsError`, and its warnings too, which report weights that stayed random."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            yield
    except (OSError, ValueError, TypeError, KeyError, UserWarning, zipfile.BadZipFile) as error:
        raise WeightsError(f"{expectation}. Received: {error}") from error
