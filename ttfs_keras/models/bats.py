"""The multi-spike networks of Bacho & Chu (arXiv 2212.09500)."""

import dataclasses

import keras

from ttfs_keras.bats.conv2d import BATSConv2D
from ttfs_keras.bats.dense import BATSDense
from ttfs_keras.bats.encoder import LatencyEncoder
from ttfs_keras.bats.merging import FlattenSpikes
from ttfs_keras.bats.pooling import SpikePooling2D
from ttfs_keras.bats.recovery import PeakPotential

TIME_WINDOW = 0.1  # s, of the input spikes


@dataclasses.dataclass(frozen=True)
class Neurons:
    """One layer of a network.

    Args:
        units: neurons of a dense layer, None: one for each class; of a convolution, its filters.
        threshold: of the membrane potential, and by how much a spike lowers the potential.
        max_spikes: spikes that a neuron's train holds.
        kernel_size: side of a convolution's kernel, pixels; None: a dense layer.
    """

    units: int | None
    threshold: float
    max_spikes: int
    kernel_size: int | None = None


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A network; each convolution is followed by 2x2 pooling.

    Args:
        layers: from the first to the output layer.
        initial: (lowest, highest) of the uniform initial weights.
        simulation_time: seconds after which a neuron no longer fires.
    """

    layers: tuple[Neurons, ...]
    initial: tuple[float, float] = (-1.0, 1.0)
    simulation_time: float = 0.2


SPIKE_COUNT = Architecture((Neurons(800, 0.2, 30), Neurons(None, 1.3, 30)))
SINGLE_SPIKE = Architecture((Neurons(800, 0.7, 1), Neurons(None, 2.0, 1)), (0.0, 1.0), 1.0)
MULTI_SPIKE_TTFS = Architecture((Neurons(800, 0.7, 30), Neurons(None, 2.0, 30)), (0.0, 1.0), 1.0)
# The enlarged digits light more pixels than MNIST's: all outputs would fill their trains, and all counts be equal.
MULTI_SPIKE_TTFS_DIGITS = dataclasses.replace(MULTI_SPIKE_TTFS, initial=(0.0, 0.3), simulation_time=0.2)
CONV = Architecture((Neurons(15, 0.04, 1, 5), Neurons(40, 0.8, 3, 5), Neurons(300, 0.6, 10), Neurons(None, 0.3, 30)))
FASHION = Architecture((Neurons(400, 0.13, 5), Neurons(400, 0.45, 5), Neurons(None, 0.7, 20)))


def bats_model(
    architecture: Architecture,
    image_shape: tuple[int, int, int],
    classes: int,
    input_range: tuple[float, float] = (0.0, 1.0),
    dtype: str = "float32",
    recovery: float = 0.0,
) -> keras.Model:
    """Build an untrained network.

    Shapes: images `(batch, height, width, channels)` to spike trains `(batch, classes, max_spikes)`, seconds.

    Args:
        architecture: its layers.
        image_shape: (height, width, channels).
        classes: number of output neurons.
        input_range: (p, q) of the pixels: q fires at 0, p never.
        dtype: "float32" or "float64", of weights and times.
        recovery: strength of the loss that brings silent output neurons back, >= 0; 0: none.

    Example:
        >>> from ttfs_keras.models.bats import SPIKE_COUNT, bats_model
        >>> bats_model(SPIKE_COUNT, (8, 8, 1), 3).output_shape
        (None, 3, 30)
    """
    inputs = keras.Input(image_shape, dtype=dtype, name="image")
    x = LatencyEncoder(TIME_WINDOW, input_range=input_range, dtype=dtype, name="encoder")(inputs)
    flat = False
    for index, neurons in enumerate(architecture.layers, start=1):
        output, units = index == len(architecture.layers), neurons.units or classes
        arguments = {
            "threshold": neurons.threshold,
            "max_spikes": neurons.max_spikes,
            "simulation_time": architecture.simulation_time,
            "kernel_initializer": keras.initializers.RandomUniform(*architecture.initial),
            "recovery": PeakPotential(recovery) if output and recovery else None,
            "dtype": dtype,
        }
        if neurons.kernel_size:
            x = BATSConv2D(units, neurons.kernel_size, name=f"conv_{index}", **arguments)(x)
            x = SpikePooling2D(2, dtype=dtype, name=f"pool_{index}")(x)
            continue
        if not flat:
            x, flat = FlattenSpikes(dtype=dtype, name="flatten")(x), True
        x = BATSDense(units, name="output" if output else f"hidden_{index}", **arguments)(x)
    return keras.Model(inputs, x, name="bats")
