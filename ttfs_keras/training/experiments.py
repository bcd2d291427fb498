"""The experiments: which network is trained with which loss, optimizer, epochs and batch size, one record each."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import keras

from ttfs_keras.bats.losses import Decay, SpikeCount, TTFSSoftmaxCrossEntropy
from ttfs_keras.bats.metrics import CountAccuracy, DecayAccuracy, FirstSpikeAccuracy, SilentLabels
from ttfs_keras.errors import ConfigurationError
from ttfs_keras.models import bats
from ttfs_keras.models.families import parse, relu_model
from ttfs_keras.models.names import has_name
from ttfs_keras.models.stbp import NETWORKS, parse_stbp
from ttfs_keras.training.schedules import StepDecay, StepsDecay

# Bacho & Chu add 1e-8 to the root of the corrected second moment, Keras its epsilon to that of the uncorrected one.
# This is as much at the first step; 1e-8, 30 times that, would hold the first gradients back, which are about 1e-6.
BATS_EPSILON = 1e-8 * (1 - 0.999) ** 0.5
BATS_DECAY_EPOCHS = 10  # between two decays of the learning rate
TAU_SOFTMAX = 0.005  # s

Rate: TypeAlias = float | keras.optimizers.schedules.LearningRateSchedule


def _cross_entropy(dtype: str) -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _constant(lr: float, steps_per_epoch: int, epochs: int) -> Rate:
    return lr


def _exponential(lr: float, steps_per_epoch: int, epochs: int) -> Rate:
    return keras.optimizers.schedules.ExponentialDecay(lr, decay_steps=5000, decay_rate=0.9)


def cosine(lr: float, steps_per_epoch: int, epochs: int) -> Rate:
    """Return the rate that falls along half a cosine to 0 at the last step."""
    return keras.optimizers.schedules.CosineDecay(lr, max(1, steps_per_epoch * epochs))


def _bats_decay(lr: float, steps_per_epoch: int, epochs: int, factor: float = 1.0, minimum: float = 0.0) -> Rate:
    return StepDecay(lr, factor, BATS_DECAY_EPOCHS * steps_per_epoch, minimum)


def _after_epochs(lr: float, steps_per_epoch: int, epochs: int, drops: tuple[int, ...] = (10,)) -> Rate:
    return StepsDecay(lr, 0.1, [epoch * steps_per_epoch for epoch in drops])


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A network and what it is trained with where a run does not say otherwise.

    Args:
        network: function that builds the untrained network; takes `image_shape`, `classes`, `dtype` and what its kind
            of network has besides.
        lr: learning rate of the first step.
        epochs, batch_size: of training.
        schedule: function of (lr, training steps an epoch, epochs) that returns a rate or Keras's schedule of rates.
        optimizer: function of such a rate that returns the optimizer.
        loss: function of a dtype that returns the loss.
        metrics: functions without arguments that return the metrics of training beside accuracy.
        accuracy: function without arguments that returns the metric that says which outputs are right; None: the
            largest output is the answer.
        patience: epochs without improvement after which training stops; 0: it does not.
        recovery: strength of the loss that brings silent output neurons back, an addition of this package; None: the
            network has none.
        test_batch_size: of the measurement after each epoch; None: `batch_size`.
        elastic: whether training images are deformed at random.

    Example:
        >>> from ttfs_keras.training.experiments import experiment
        >>> found = experiment("BATS", "my_spike_count", "MNIST")
        >>> found.epochs, found.batch_size, type(found.loss("float32")).__name__
        (100, 50, 'SpikeCount')
    """

    network: Callable[..., keras.Model]
    lr: float
    epochs: int
    batch_size: int
    schedule: Callable[..., Rate]
    optimizer: Callable[[Rate], keras.optimizers.Optimizer]
    loss: Callable[[str], keras.losses.Loss] = _cross_entropy
    metrics: tuple[Callable[[], keras.metrics.Metric], ...] = ()
    accuracy: Callable[[], keras.metrics.Metric] | None = None
    patience: int = 0
    recovery: float | None = None
    test_batch_size: int | None = None
    elastic: bool = False


def _relu(name: str, **changes: Any) -> Experiment:
    """Return the settings of the public code for Stanojevic et al. (Nature Communications, 2024), with changes."""
    settings: dict[str, Any] = {
        "network": functools.partial(relu_model, name),
        "lr": 5e-4,
        "epochs": 20,
        "batch_size": 8,
        "schedule": _exponential,
        "optimizer": keras.optimizers.Adam,
    }
    return Experiment(**settings | changes)


# Also of the spiking networks that are mapped from them.
RELU = {name: _relu(name) for name in ("FC2", "FC2_BN", "VGG_BN", "custom", *NETWORKS)}
# The public code has none that trains VGG without batch norm; this is a choice of this package.
RELU["VGG"] = _relu("VGG", lr=1e-3, schedule=_constant, optimizer=functools.partial(keras.optimizers.SGD, momentum=0.9))

STBP = {
    name: Experiment(
        network, lr=0.001, epochs=11, batch_size=64, schedule=_after_epochs, patience=7,
        optimizer=functools.partial(keras.optimizers.Adam, epsilon=1e-8),
    )
    for name, network in NETWORKS.items()
}  # fmt: skip

_COUNT = functools.partial(CountAccuracy, name="accuracy")
_FIRST_SPIKE = functools.partial(FirstSpikeAccuracy, name="accuracy")
_DECAY = functools.partial(DecayAccuracy, name="accuracy")


def _spike_count(dtype: str, label: float = 15.0, others: float = 3.0) -> keras.losses.Loss:
    return SpikeCount(label, others, dtype=dtype)


def _first_spikes(dtype: str, simulation_time: float = 1.0, tau: float = TAU_SOFTMAX) -> keras.losses.Loss:
    # A silent label then costs what a spike at the very end would; else it would cost nothing and stay silent.
    return TTFSSoftmaxCrossEntropy(tau, silent_time=simulation_time, dtype=dtype)


def _decay(dtype: str) -> keras.losses.Loss:
    return Decay(dtype=dtype)


_SPIKE_COUNT = Experiment(
    functools.partial(bats.bats_model, bats.SPIKE_COUNT),
    lr=0.003, epochs=100, batch_size=50, test_batch_size=100, schedule=_bats_decay, loss=_spike_count,
    optimizer=functools.partial(keras.optimizers.Adam, epsilon=BATS_EPSILON),
    accuracy=_COUNT, metrics=(functools.partial(SilentLabels, name="silent_labels"),), recovery=1.0,
)  # fmt: skip
_SINGLE_SPIKE = dataclasses.replace(
    _SPIKE_COUNT, network=functools.partial(bats.bats_model, bats.SINGLE_SPIKE),
    lr=0.002, epochs=30, loss=_first_spikes, accuracy=_FIRST_SPIKE,
)  # fmt: skip
_MULTI_SPIKE_TTFS = dataclasses.replace(
    _SINGLE_SPIKE, network=functools.partial(bats.bats_model, bats.MULTI_SPIKE_TTFS)
)
_YIN_YANG = dataclasses.replace(
    _SINGLE_SPIKE, network=functools.partial(bats.bats_model, bats.YIN_YANG), lr=0.005, epochs=150, schedule=cosine,
    loss=functools.partial(_first_spikes, simulation_time=bats.YIN_YANG.simulation_time, tau=0.013),
)  # fmt: skip
_HALVED = functools.partial(_bats_decay, factor=0.5, minimum=1e-4)

BATS = {
    "single_spike": _SINGLE_SPIKE,
    "spike_count": _SPIKE_COUNT,
    "conv": dataclasses.replace(
        _SPIKE_COUNT, network=functools.partial(bats.bats_model, bats.CONV), batch_size=20, test_batch_size=50,
        schedule=_HALVED, loss=functools.partial(_spike_count, label=30.0), elastic=True,
    ),
    "maximum_potential": dataclasses.replace(
        _SPIKE_COUNT, network=functools.partial(bats.bats_model, bats.MAXIMUM_POTENTIAL), loss=_cross_entropy,
        accuracy=None, metrics=(), recovery=None,
    ),
    "yin_yang": _YIN_YANG,
    "yin_yang_multi": dataclasses.replace(
        _YIN_YANG, network=functools.partial(bats.bats_model, bats.YIN_YANG_MULTI)
    ),
    "train_count_eval_count": _SPIKE_COUNT,
    "train_count_eval_ttfs": dataclasses.replace(_SPIKE_COUNT, accuracy=_FIRST_SPIKE),
    "train_ttfs_eval_ttfs": _MULTI_SPIKE_TTFS,
    "train_ttfs_eval_count": dataclasses.replace(_MULTI_SPIKE_TTFS, accuracy=_COUNT),
    "train_decay_eval_decay": dataclasses.replace(_SPIKE_COUNT, loss=_decay, accuracy=_DECAY),
}  # fmt: skip
# Where a data set has settings of its own under a name that others share.
BATS_OF_DATA = {
    ("spike_count", "EMNIST"): dataclasses.replace(
        _SPIKE_COUNT, schedule=functools.partial(_bats_decay, minimum=1e-4)
    ),
    ("spike_count", "FMNIST"): dataclasses.replace(
        _SPIKE_COUNT, network=functools.partial(bats.bats_model, bats.FASHION), lr=0.0005, batch_size=5,
        schedule=_HALVED,
    ),
    ("train_ttfs_eval_count", "DIGITS"): dataclasses.replace(
        BATS["train_ttfs_eval_count"],
        network=functools.partial(bats.bats_model, bats.MULTI_SPIKE_TTFS_DIGITS),
        loss=functools.partial(_first_spikes, simulation_time=bats.MULTI_SPIKE_TTFS_DIGITS.simulation_time),
    ),
}  # fmt: skip


def _relu_experiment(model_name: str, data_name: str) -> Experiment:
    family, batch_norm = parse(model_name)
    return RELU.get(f"{family}_BN", RELU[family]) if batch_norm else RELU[family]


def _bats_experiment(model_name: str, data_name: str) -> Experiment:
    for name in sorted(BATS, key=len, reverse=True):
        if has_name(model_name, name):
            return BATS_OF_DATA.get((name, data_name), BATS[name])
    raise ConfigurationError(
        f"model_name: expected a name with one of {', '.join(BATS)} as its parts between underscores. "
        f"Received: {model_name!r}"
    )


def _stbp_experiment(model_name: str, data_name: str) -> Experiment:
    return STBP[parse_stbp(model_name)]


_BY_TYPE = {"SNN": _relu_experiment, "ReLU": _relu_experiment, "BATS": _bats_experiment, "STBP": _stbp_experiment}


def experiment(model_type: str, model_name: str, data_name: str) -> Experiment:
    """Return the experiment that a model name stands for.

    Args:
        model_type: "SNN", "ReLU", "BATS" or "STBP".
        model_name: has the network's name among its parts between underscores, in any case.
        data_name: data set, which a few experiments have settings of their own for.

    Raises:
        ConfigurationError: the name has no network of that type.
    """
    return _BY_TYPE[model_type](model_name, data_name)
