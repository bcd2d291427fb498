"""The multi-spike networks of Bacho & Chu (arXiv 2212.09500) and of the six crossings of loss and read-out."""

import dataclasses

import keras

from ttfs_keras.bats.conv2d import BATSConv2D
from ttfs_keras.bats.dense import BATSDense
from ttfs_keras.bats.encoder import LatencyEncoder
from ttfs_keras.bats.losses import Decay, SpikeCount, TTFSSoftmaxCrossEntropy
from ttfs_keras.bats.merging import FlattenSpikes
from ttfs_keras.bats.metrics import CountAccuracy, DecayAccuracy, FirstSpikeAccuracy
from ttfs_keras.bats.pooling import SpikePooling2D
from ttfs_keras.bats.recovery import PeakPotential
from ttfs_keras.errors import ConfigurationError


@dataclasses.dataclass(frozen=True)
class Neurons:
    """A layer: `units` (None: one for each class), or filters where `kernel_size` is given; threshold; train length."""

    units: int | None
    threshold: float
    max_spikes: int
    kernel_size: int | None = None


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A network and the settings it is trained with.

    Args:
        layers: `Neurons`; each convolution is followed by 2x2 pooling.
        loss: "count", "ttfs" or "decay".
        read_out: by which spikes are read as a class: "count", "ttfs" or "decay".
        initial: range of the uniform initial weights.
        lr: of Adam, times `lr_decay` every 10 epochs, no less than `lr_minimum`.
        epochs, batch_size, test_batch_size: of training and evaluation.
        simulation_time: seconds.
        targets: (of the label, of the others), spikes; loss "count".
        recovery: strength of the loss that brings silent output neurons back, this package's addition; 0: none.
        elastic: whether training images are deformed at random.
    """

    layers: tuple
    loss: str
    read_out: str
    initial: tuple
    lr: float
    epochs: int
    batch_size: int
    test_batch_size: int
    simulation_time: float
    lr_decay: float = 1.0
    lr_minimum: float = 0.0
    targets: tuple = (15.0, 3.0)
    recovery: float = 1.0
    elastic: bool = False


SPIKE_COUNT = Experiment(
    layers=(Neurons(800, 0.2, 30), Neurons(None, 1.3, 30)),
    loss="count", read_out="count", initial=(-1.0, 1.0), lr=0.003, epochs=100, batch_size=50, test_batch_size=100,
    simulation_time=0.2,
)  # fmt: skip
SINGLE_SPIKE = Experiment(
    layers=(Neurons(800, 0.7, 1), Neurons(None, 2.0, 1)),
    loss="ttfs", read_out="ttfs", initial=(0.0, 1.0), lr=0.002, epochs=30, batch_size=50, test_batch_size=100,
    simulation_time=1.0,
)  # fmt: skip
CONV = Experiment(
    layers=(Neurons(15, 0.04, 1, 5), Neurons(40, 0.8, 3, 5), Neurons(300, 0.6, 10), Neurons(None, 0.3, 30)),
    loss="count", read_out="count", initial=(-1.0, 1.0), lr=0.003, epochs=100, batch_size=20, test_batch_size=50,
    simulation_time=0.2, lr_decay=0.5, lr_minimum=1e-4, targets=(30.0, 3.0), elastic=True,
)  # fmt: skip
FASHION = Experiment(
    layers=(Neurons(400, 0.13, 5), Neurons(400, 0.45, 5), Neurons(None, 0.7, 20)),
    loss="count", read_out="count", initial=(-1.0, 1.0), lr=0.0005, epochs=100, batch_size=5, test_batch_size=100,
    simulation_time=0.2, lr_decay=0.5, lr_minimum=1e-4,
)  # fmt: skip
MULTI_SPIKE_TTFS = dataclasses.replace(SINGLE_SPIKE, layers=(Neurons(800, 0.7, 30), Neurons(None, 2.0, 30)))

EXPERIMENTS = {
    "single_spike": SINGLE_SPIKE,
    "spike_count": SPIKE_COUNT,
    "conv": CONV,
    "train_count_eval_count": SPIKE_COUNT,
    "train_count_eval_ttfs": dataclasses.replace(SPIKE_COUNT, read_out="ttfs"),
    "train_ttfs_eval_ttfs": MULTI_SPIKE_TTFS,
    "train_ttfs_eval_count": dataclasses.replace(MULTI_SPIKE_TTFS, read_out="count"),
    "train_decay_eval_decay": dataclasses.replace(SPIKE_COUNT, loss="decay", read_out="decay"),
}  # the sixth crossing, single-spike, is `single_spike`
# Where a data set has settings of its own under a name that others share.
OF_DATA = {
    ("spike_count", "EMNIST"): dataclasses.replace(SPIKE_COUNT, lr_minimum=1e-4),
    ("spike_count", "FMNIST"): FASHION,
    # The enlarged digits light more pixels than MNIST's: all outputs would fill their trains, and all counts be equal.
    ("train_ttfs_eval_count", "DIGITS"): dataclasses.replace(
        MULTI_SPIKE_TTFS, read_out="count", simulation_time=0.2, initial=(0.0, 0.3)
    ),
}

TAU_SOFTMAX = 0.005  # s
TIME_WINDOW = 0.1  # s, of the input spikes


def experiment(model_name, data_name):
    """Return the `Experiment` whose name a model name contains.

    Raises:
        ConfigurationError: it contains none.
    """
    known = next((name for name in sorted(EXPERIMENTS, key=len, reverse=True) if name in model_name.lower()), None)
    if known is None:
        raise ConfigurationError(
            f"model_name: expected a name with one of {', '.join(EXPERIMENTS)} in it. Received: {model_name!r}"
        )
    return OF_DATA.get((known, data_name), EXPERIMENTS[known])


def bats_model(experiment, image_shape, classes, input_range=(0.0, 1.0), dtype="float32"):
    """Build the untrained network of an experiment.

    Shapes: images `(batch, height, width, channels)` to spike trains `(batch, classes, max_spikes)`, seconds.

    Args:
        experiment: an `Experiment`.
        image_shape: (height, width, channels).
        classes: number of output neurons.
        input_range: (p, q) of the pixels: q fires at 0, p never.
        dtype: "float32" or "float64".
    """
    inputs = keras.Input(image_shape, dtype=dtype, name="image")
    x = LatencyEncoder(TIME_WINDOW, input_range=input_range, dtype=dtype, name="encoder")(inputs)
    flat = False
    for index, spec in enumerate(experiment.layers, start=1):
        output = index == len(experiment.layers)
        arguments = {
            "threshold": spec.threshold,
            "max_spikes": spec.max_spikes,
            "simulation_time": experiment.simulation_time,
            "kernel_initializer": keras.initializers.RandomUniform(*experiment.initial),
            "recovery": PeakPotential(experiment.recovery) if output and experiment.recovery else None,
            "dtype": dtype,
        }
        if spec.kernel_size:
            x = BATSConv2D(spec.units, spec.kernel_size, name=f"conv_{index}", **arguments)(x)
            x = SpikePooling2D(2, dtype=dtype, name=f"pool_{index}")(x)
            continue
        if not flat:
            x, flat = FlattenSpikes(dtype=dtype, name="flatten")(x), True
        x = BATSDense(spec.units or classes, name="output" if output else f"hidden_{index}", **arguments)(x)
    return keras.Model(inputs, x, name="bats")


def loss(experiment, dtype="float32"):
    """Return the loss of an experiment, computed in `dtype`, which should be the network's."""
    if experiment.loss == "count":
        return SpikeCount(*experiment.targets, dtype=dtype)
    if experiment.loss == "ttfs":
        # Silent labels then cost what a spike at the very end would; else they cost nothing and stay silent.
        return TTFSSoftmaxCrossEntropy(TAU_SOFTMAX, silent_time=experiment.simulation_time, dtype=dtype)
    return Decay(dtype=dtype)


def accuracy(experiment):
    """Return the accuracy metric of an experiment's read-out."""
    metrics = {"count": CountAccuracy, "ttfs": FirstSpikeAccuracy, "decay": DecayAccuracy}
    return metrics[experiment.read_out](name="accuracy")
