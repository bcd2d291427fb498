"""The multi-spike networks of Bacho & Chu (arXiv 2212.09500)."""

import dataclasses
from collections.abc import Callable

import keras

from ttfs_keras.bats.bias import BiasNeuron
from ttfs_keras.bats.conv2d import BATSConv2D
from ttfs_keras.bats.dense import BATSDense
from ttfs_keras.bats.encoder import LatencyEncoder
from ttfs_keras.bats.merging import FlattenSpikes
from ttfs_keras.bats.pooling import SpikePooling2D
from ttfs_keras.bats.potentials import MaximumPotential
from ttfs_keras.bats.recovery import PeakPotential


@dataclasses.dataclass(frozen=True)
class Neurons:
    """One layer of a network.

    Args:
        units: neurons of a dense layer, None: one for each class; of a convolution, its filters.
        threshold: of the membrane potential, and by how much a spike lowers the potential.
        max_spikes: spikes that a neuron's train holds.
        kernel_size: side of a convolution's kernel, pixels; None: a dense layer.
        initial: (lowest, highest) of the uniform initial weights; None: the architecture's.
    """

    units: int | None
    threshold: float
    max_spikes: int
    kernel_size: int | None = None
    initial: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A network; each convolution is followed by 2x2 pooling.

    Args:
        layers: from the first to the output layer.
        initial: (lowest, highest) of the uniform initial weights.
        simulation_time: seconds after which a neuron no longer fires.
        time_window: seconds in which the input spikes fall.
        bias: whether a neuron that spikes at 0 is added to the flattened input.
        hidden_recovery: strength of the loss that brings silent hidden neurons back, relative to the output neurons'.
        min_slope: lower bound of du/dt at a spike in the gradient, potential per second; 0: none.
        readout: layer of output neurons behind `layers`; None: the last of them are the output neurons.
    """

    layers: tuple[Neurons, ...]
    initial: tuple[float, float] = (-1.0, 1.0)
    simulation_time: float = 0.2
    time_window: float = 0.1
    bias: bool = False
    hidden_recovery: float = 0.0
    min_slope: float = 0.0
    readout: Callable[..., keras.layers.Layer] | None = None


SPIKE_COUNT = Architecture((Neurons(800, 0.2, 30), Neurons(None, 1.3, 30)))
SINGLE_SPIKE = Architecture((Neurons(800, 0.7, 1), Neurons(None, 2.0, 1)), (0.0, 1.0), 1.0)
MULTI_SPIKE_TTFS = Architecture((Neurons(800, 0.7, 30), Neurons(None, 2.0, 30)), (0.0, 1.0), 1.0)
# The enlarged digits light more pixels than MNIST's: all outputs would fill their trains, and all counts be equal.
MULTI_SPIKE_TTFS_DIGITS = dataclasses.replace(MULTI_SPIKE_TTFS, initial=(0.0, 0.3), simulation_time=0.2)
CONV = Architecture((Neurons(15, 0.04, 1, 5), Neurons(40, 0.8, 3, 5), Neurons(300, 0.6, 10), Neurons(None, 0.3, 30)))
MAXIMUM_POTENTIAL = Architecture((Neurons(800, 0.2, 30),), readout=MaximumPotential)
# Four inputs spike within two synaptic time constants, as in Göltz et al. (2021). Without `min_slope` a spike that only
# just happens has a gradient so large that one step of Adam, at most 3 times the rate, silences an output neuron.
YIN_YANG = Architecture(
    (Neurons(120, 0.13, 1, initial=(0.1, 2.9)), Neurons(None, 0.13, 1, initial=(-0.9, 1.9))),
    simulation_time=0.6, time_window=0.26, bias=True, hidden_recovery=0.01, min_slope=0.1,
)  # fmt: skip
YIN_YANG_MULTI = dataclasses.replace(
    YIN_YANG, layers=tuple(dataclasses.replace(neurons, max_spikes=10) for neurons in YIN_YANG.layers)
)
FASHION = Architecture((Neurons(400, 0.13, 5), Neurons(400, 0.45, 5), Neurons(None, 0.7, 20)))


def bats_model(
    architecture: Architecture,
    image_shape: tuple[int, int, int],
    classes: int,
    input_range: tuple[float, float] = (0.0, 1.0),
    dtype: str = "float32",
    recovery: float | None = 0.0,
) -> keras.Model:
    """Build an untrained network.

    Shapes: images `(batch, height, width, channels)` to spike trains `(batch, classes, max_spikes)`, seconds, or what
    the read-out makes of them.

    Args:
        architecture: its layers.
        image_shape: (height, width, channels).
        classes: number of output neurons.
        input_range: (p, q) of the pixels: q fires at 0, p never.
        dtype: "float32" or "float64", of weights and times.
        recovery: strength of the loss that brings silent output neurons back, >= 0; 0 or None: none.

    Example:
        >>> from ttfs_keras.models.bats import SPIKE_COUNT, bats_model
        >>> bats_model(SPIKE_COUNT, (8, 8, 1), 3).output_shape
        (None, 3, 30)
    """
    recovery = recovery or 0.0
    inputs = keras.Input(image_shape, dtype=dtype, name="image")
    x = LatencyEncoder(architecture.time_window, input_range=input_range, dtype=dtype, name="encoder")(inputs)
    flat = False
    initializer = keras.initializers.RandomUniform
    for index, neurons in enumerate(architecture.layers, start=1):
        output = index == len(architecture.layers) and architecture.readout is None
        units, strength = neurons.units or classes, recovery * (1.0 if output else architecture.hidden_recovery)
        arguments = {
            "threshold": neurons.threshold,
            "max_spikes": neurons.max_spikes,
            "simulation_time": architecture.simulation_time,
            "kernel_initializer": initializer(*(neurons.initial or architecture.initial)),
            "recovery": PeakPotential(strength) if strength else None,
            "min_slope": architecture.min_slope,
            "dtype": dtype,
        }
        if neurons.kernel_size:
            x = BATSConv2D(units, neurons.kernel_size, name=f"conv_{index}", **arguments)(x)
            x = SpikePooling2D(2, dtype=dtype, name=f"pool_{index}")(x)
            continue
        if not flat:
            x, flat = FlattenSpikes(dtype=dtype, name="flatten")(x), True
            if architecture.bias:
                x = BiasNeuron(dtype=dtype, name="bias")(x)
        x = BATSDense(units, name="output" if output else f"hidden_{index}", **arguments)(x)
    if architecture.readout is not None:
        x = architecture.readout(
            classes, simulation_time=architecture.simulation_time, name="output", dtype=dtype,
            kernel_initializer=initializer(*architecture.initial),
        )(x)  # fmt: skip
    return keras.Model(inputs, x, name="bats")
