"""Fully connected multi-spike neurons."""

from collections.abc import Callable
from typing import Any

import keras

from ttfs_keras import arguments
from ttfs_keras.bats.multi_spike import MultiSpikeLayer

__all__ = ["BATSDense"]


@keras.saving.register_keras_serializable(package="ttfs_keras")
class BATSDense(MultiSpikeLayer):
    """Multi-spike neurons that are connected to all inputs: the layer of `bats.dense`.

        du/dt = -u/tau + v,  dv/dt = -v/tau_s,  tau = 2 tau_s        (an input spike adds its weight to v)
        u >= threshold: a spike, u <- u - delta_threshold

    The spike times are exact, and so are their gradients. A train is NaN where an input time of the sample is NaN or a
    weight of the neuron is not finite. Source: Bacho & Chu, arXiv 2212.09500.

    Shapes: trains `(batch, pre, slots)` to `(batch, units, max_spikes)`, seconds, ascending, padded with inf.

    Args:
        units: number of neurons.
        tau_s: synaptic time constant, seconds; the membrane's is twice that.
        threshold: potential at which a neuron spikes, in the unit of the weights.
        delta_threshold: by how much a spike lowers the potential; None: by the threshold.
        max_spikes: how many spikes a train can hold; 1 is the single-spike model.
        simulation_time: seconds; no spike comes later. inf: to the last spike.
        kernel_initializer: None for uniform in [-1, 1], or as in Keras.
        kernel_regularizer, kernel_constraint: as in Keras.
        activity_regularizer: a function of the output trains, such as `bats.FiringRate`.
        trainable_tau_s, trainable_threshold, trainable_delta_threshold: whether the constant is a weight, one scalar,
            kept above a hundredth of its initial value.
        recovery: None, or `bats.PeakPotential`, the regularizer of silent neurons.
        min_slope: lower bound of du/dt at a spike in the gradient, which bounds gradients near tangency; 0: none.
        **kwargs: of `keras.layers.Layer`: `name`, `trainable` and `dtype`, which must be float32 or float64.

    Raises:
        ValueError: lists all arguments that cannot work; the input is not of rank 3 with a known number of neurons.

    Example:
        >>> layer = bats.BATSDense(10, threshold=0.1, max_spikes=4)
        >>> layer(np.zeros((2, 784, 1))).shape
        TensorShape([2, 10, 4])
    """

    def __init__(
        self,
        units: int,
        tau_s: float = 0.13,
        threshold: float = 0.2,
        delta_threshold: float | None = None,
        max_spikes: int = 30,
        simulation_time: float = 0.2,
        kernel_initializer: Any = None,
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        activity_regularizer: Any = None,
        trainable_tau_s: bool = False,
        trainable_threshold: bool = False,
        trainable_delta_threshold: bool = False,
        recovery: Callable | dict | None = None,
        min_slope: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(
            tau_s=tau_s,
            threshold=threshold,
            delta_threshold=delta_threshold,
            max_spikes=max_spikes,
            simulation_time=simulation_time,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            kernel_constraint=kernel_constraint,
            activity_regularizer=activity_regularizer,
            trainable_tau_s=trainable_tau_s,
            trainable_threshold=trainable_threshold,
            trainable_delta_threshold=trainable_delta_threshold,
            recovery=recovery,
            min_slope=min_slope,
            **kwargs,
        )
        valid = arguments.count(units)
        self.validate(*([] if valid else [f"units: expected an int of at least 1. Received: {units!r}"]))
        self.units = int(units)

    def build(self, input_shape):
        if len(input_shape) != 3 or input_shape[1] is None:
            raise ValueError(
                f"Layer {self.name!r}: expected trains (batch, neurons, spikes) of a known number of neurons. "
                f"Received shape: {input_shape}; FlattenSpikes turns (batch, height, width, channels, spikes) into that"
            )
        self.add_weights((input_shape[1], self.units), self.units)

    def linear_twin(self):
        """Return a layer of the same synapses, see `ttfs_keras.network.operations`."""
        return keras.layers.Dense(self.units, use_bias=False, kernel_initializer="ones", dtype="float32")

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units, self.max_spikes)

    def get_config(self):
        return {**super().get_config(), "units": self.units}
