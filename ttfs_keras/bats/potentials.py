"""Read-outs of output neurons that do not spike: their membrane potential, which no neuron can fall silent in."""

from typing import Any

import keras
import tensorflow as tf

from ttfs_keras import arguments
from ttfs_keras.bats import functional
from ttfs_keras.bats.layer import SpikeTrainLayer
from ttfs_keras.bats.readout import count

__all__ = ["LeakyIntegrator", "MaximumPotential", "Potential"]


class Potential(SpikeTrainLayer):
    """Base of the two read-outs, which describe the arguments; they define `potentials`.

    Attributes:
        endless: whether the simulation may go on until nothing happens any more.
    """

    endless = False

    def __init__(
        self,
        units: int,
        tau_s: float = 0.13,
        simulation_time: float = 0.2,
        kernel_initializer: Any = None,
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        arguments.require(
            type(self).__name__,
            (arguments.count(units), "units, an int of at least 1", f"units={units!r}"),
            (arguments.positive(tau_s), "tau_s > 0, finite", f"tau_s={tau_s!r}"),
            (
                arguments.positive(simulation_time) or (self.endless and simulation_time == float("inf")),
                "simulation_time > 0" if self.endless else "simulation_time > 0, finite",
                f"simulation_time={simulation_time!r}",
            ),
        )
        self.units, self.tau_s, self.simulation_time = int(units), tau_s, simulation_time
        if kernel_initializer is None:
            kernel_initializer = keras.initializers.RandomUniform(-1.0, 1.0)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)

    def build(self, input_shape):
        self.check_rank(input_shape, "(batch, neurons, K)")
        if input_shape[1] is None:
            raise ValueError(f"{self.name} expects a known number of neurons. Received: shape={tuple(input_shape)}")
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[1], self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )

    def potentials(self, times: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Return the potentials `(batch, units)` of trains `(batch, pre, slots)`."""
        raise NotImplementedError  # abstract

    def call(self, times):
        return self.potentials(times, tf.convert_to_tensor(self.kernel))

    def linear_twin(self):
        """Return a layer of the same synapses, see `ttfs_keras.network.operations`."""
        return keras.layers.Dense(self.units, use_bias=False, kernel_initializer="ones", dtype="float32")

    def arriving_spikes(self, trains: tf.Tensor) -> tf.Tensor:
        """Return how many spikes each input has."""
        return count(trains)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "tau_s": self.tau_s,
            "simulation_time": self.simulation_time,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
        }


@keras.saving.register_keras_serializable(package="ttfs_keras")
class MaximumPotential(Potential):
    """The largest membrane potential of neurons that do not spike, as a score of their class.

        y = max over t <= simulation_time of u(t),  tau = 2 tau_s
        u(t) = tau sum_{t_j < t} w_j (e^{-(t - t_j)/tau} - e^{-2(t - t_j)/tau})

    It is sought at the end of the first interval between inputs and later, so that it may be negative; 0
    without any input spike. The largest potential and its gradient are exact (see `ttfs_keras.ops.peaks`). For
    `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`: unlike times and counts of spikes, potentials have a
    gradient whatever the weights are. A score is NaN where an input time of the sample is NaN.

    Shapes: trains `(batch, pre, slots)` in seconds to potentials `(batch, units)`, in the unit of weight x seconds.

    Args:
        units: number of neurons.
        tau_s: synaptic time constant, seconds; the membrane's is twice that.
        simulation_time: seconds; later input has no effect. inf: all input has.
        kernel_initializer: None for uniform in [-1, 1], or as in Keras.
        kernel_regularizer, kernel_constraint: as in Keras.
        **kwargs: of `keras.layers.Layer`: `name`, `trainable` and `dtype`, which must be float32 or float64.

    Raises:
        ValueError: an argument is outside its range; the input is not of rank 3 with a known number of neurons.

    Example:
        >>> layer = bats.MaximumPotential(1, tau_s=1.0, simulation_time=9.0, kernel_initializer="ones")
        >>> layer(np.zeros((1, 1, 1))).numpy().tolist()
        [[0.5]]
    """

    endless = True

    def build(self, input_shape):
        super().build(input_shape)
        self.supports_jit = False  # XLA cannot compile a custom op

    def potentials(self, times, kernel):
        found = functional.peaks(times, kernel, self.tau_s, self.simulation_time)
        return tf.where(found == -float("inf"), tf.zeros((), found.dtype), found)


@keras.saving.register_keras_serializable(package="ttfs_keras")
class LeakyIntegrator(Potential):
    """The membrane potential that neurons that do not spike end with, as a score of their class.

        y = u(T) = tau sum_{t_j < T} w_j (e^{-(T - t_j)/tau} - e^{-2(T - t_j)/tau}),  T = simulation_time, tau = 2 tau_s

    For `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`; see `MaximumPotential`. A score is NaN where an
    input time of the sample is NaN.

    Shapes: trains `(batch, pre, slots)` in seconds to potentials `(batch, units)`, in the unit of weight x seconds.

    Args:
        units: number of neurons.
        tau_s: synaptic time constant, seconds; the membrane's is twice that.
        simulation_time: seconds at which the potential is read.
        kernel_initializer: None for uniform in [-1, 1], or as in Keras.
        kernel_regularizer, kernel_constraint: as in Keras.
        **kwargs: of `keras.layers.Layer`: `name`, `trainable` and `dtype`, which must be float32 or float64.

    Raises:
        ValueError: an argument is outside its range; the input is not of rank 3 with a known number of neurons.

    Example:
        >>> layer = bats.LeakyIntegrator(1, tau_s=1.0, simulation_time=2 * np.log(2), kernel_initializer="ones")
        >>> layer(np.zeros((1, 1, 1))).numpy().tolist()
        [[0.5]]
    """

    def potentials(self, times, kernel):
        tau = 2 * self.tau_s
        counts = ~(times >= self.simulation_time)  # NaN too
        age = tf.where(counts, self.simulation_time - times, 0) / tau
        # As a product, which does not cancel for ages that are short against tau.
        response = -tf.exp(-age) * tf.math.expm1(-age)
        return tau * tf.matmul(tf.reduce_sum(response, axis=-1), kernel)
