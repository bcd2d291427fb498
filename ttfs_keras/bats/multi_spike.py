"""What dense and convolutional multi-spike layers share: the neuron's constants, its op, its monitor."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from ttfs_keras import arguments
from ttfs_keras.bats import functional
from ttfs_keras.bats.layer import SpikeTrainLayer
from ttfs_keras.bats.monitor import SpikeMonitor
from ttfs_keras.bats.spike_trains import SpikeTrains
from ttfs_keras.constraints import Between

CONSTANTS = ("tau_s", "threshold", "delta_threshold")  # which can train


class MultiSpikeLayer(SpikeTrains, SpikeTrainLayer):
    """Base of `BATSDense` and `BATSConv2D`, which describe the arguments; they create the kernel and call `validate`.

    Attributes:
        learned: names of the constants that train, in the order of their weights.
        learned_weights: their weights by name.
        monitor: `SpikeMonitor` of the layer.
    """

    def __init__(
        self,
        tau_s: float,
        threshold: float,
        delta_threshold: float | None,
        max_spikes: int,
        simulation_time: float,
        kernel_initializer: Any,
        kernel_regularizer: Any,
        kernel_constraint: Any,
        activity_regularizer: Any,
        trainable_tau_s: bool,
        trainable_threshold: bool,
        trainable_delta_threshold: bool,
        recovery: Callable | dict | None,
        min_slope: float,
        **kwargs: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.supports_jit = False  # XLA cannot compile a custom op
        self.tau_s, self.threshold = tau_s, threshold
        self.delta_threshold = threshold if delta_threshold is None else delta_threshold
        self.max_spikes, self.simulation_time, self.min_slope = max_spikes, simulation_time, min_slope
        if kernel_initializer is None:
            kernel_initializer = keras.initializers.RandomUniform(-1.0, 1.0)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.trainable_tau_s, self.trainable_threshold = trainable_tau_s, trainable_threshold
        self.trainable_delta_threshold = trainable_delta_threshold
        self.learned = self._trainable_constants()
        self.recovery = keras.saving.deserialize_keras_object(recovery) if isinstance(recovery, dict) else recovery

    def _trainable_constants(self) -> tuple[str, ...]:
        return tuple(name for name in CONSTANTS if getattr(self, f"trainable_{name}"))

    def validate(self, *found: str) -> None:
        """Raise the ValueError that lists what a subclass found and what is wrong with the arguments above, if any."""
        problems = list(found)
        for name in (*CONSTANTS, "simulation_time"):
            value = getattr(self, name)
            unlimited = name == "simulation_time" and value == float("inf")
            if not (arguments.positive(value) or unlimited):
                problems.append(f"{name}: expected a positive number. Received: {value!r}")
        if not arguments.count(self.max_spikes):
            problems.append(f"max_spikes: expected an int of at least 1. Received: {self.max_spikes!r}")
        if not arguments.finite(self.min_slope, 0):
            problems.append(f"min_slope: expected 0 or more. Received: {self.min_slope!r}")
        for name in (f"trainable_{constant}" for constant in CONSTANTS):
            value = getattr(self, name)
            if not isinstance(value, bool):
                problems.append(f"{name}: expected True or False. Received: {value!r}")
        if not (self.recovery is None or callable(self.recovery)):
            problems.append(f"recovery: expected a PeakPotential or None. Received: {self.recovery!r}")
        if problems:
            raise ValueError(f"Layer {self.name!r} cannot work:\n  " + "\n  ".join(problems))
        self.max_spikes = int(self.max_spikes)

    def add_weights(self, kernel_shape: tuple[int, ...], neurons: int) -> None:
        """Create the kernel, the constants that train and the monitor of so many neurons."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=kernel_shape,
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.learned_weights = {
            name: self.add_weight(
                name=name,
                shape=(),
                initializer=_constant(getattr(self, name)),
                constraint=Between(getattr(self, name) / 100),
            )
            for name in self.learned
        }
        self.monitor = SpikeMonitor(self.name, neurons)

    def constant(self, name: str) -> float | tf.Tensor:
        """Return the present value of a constant of the neuron: a scalar tensor if it trains, else the argument."""
        return tf.convert_to_tensor(self.learned_weights[name]) if name in self.learned else getattr(self, name)

    def call(self, times):
        kernel = tf.convert_to_tensor(self.kernel)
        tau_s, threshold, delta_threshold = map(self.constant, CONSTANTS)
        spatial = kernel.shape.rank - 1
        constants = (tau_s, threshold, delta_threshold, self.max_spikes, self.simulation_time, self.min_slope)
        spikes, counts, overflow = functional.fire(spatial, times, kernel, *constants)
        self.monitor.update_state(counts, overflow)
        recovery = self.recovery
        if recovery is not None:

            def loss():
                peaks = functional.peaks(times, kernel, tau_s, self.simulation_time)
                # -inf, without input, would make the gradient of a trained threshold NaN: 0 times infinity.
                reached = peaks != -float("inf")
                return recovery(tf.where(reached, tf.where(reached, peaks, 0) / threshold, peaks), counts)

            # Peaks cost as much as the spikes do, and most batches have no silent neuron.
            silent = tf.reduce_any(counts == 0)
            self.add_loss(tf.cond(silent, loss, lambda: tf.zeros((), self.compute_dtype)))
        return spikes

    def arriving_spikes(self, trains: tf.Tensor) -> tf.Tensor:
        """Return how many spikes each input has."""
        return self.spike_counts(trains)

    def spikes_end(self, arriving: float, shape: tuple) -> float:
        """Return the end of the simulation."""
        return self.simulation_time

    def add_loss(self, loss: tf.Tensor) -> None:
        """Add a scalar to the model's loss; Keras wants all parts of it in its `floatx`, whatever the dtype here."""
        super().add_loss(tf.cast(loss, keras.config.floatx()))

    def get_config(self):
        names = (*CONSTANTS, "max_spikes", "simulation_time", *(f"trainable_{name}" for name in CONSTANTS), "min_slope")
        config = {name: getattr(self, name) for name in names}
        if self.learned != self._trainable_constants():
            config["learned"] = list(self.learned)
        return {
            **super().get_config(),
            **config,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "recovery": keras.saving.serialize_keras_object(self.recovery),
        }

    @classmethod
    def from_config(cls, config):
        """Return the layer; version 0.1.0 named the constants that train, in the order in which its files hold them."""
        if "learned" not in config:
            return super().from_config(config)
        learned = tuple(config["learned"])
        config = {name: value for name, value in config.items() if name != "learned"}
        layer = super().from_config({**config, **{f"trainable_{name}": True for name in learned}})
        layer.learned = learned
        return layer


def _constant(value: float) -> Callable:
    """Return an initializer; Keras's own rounds a float64 value to float32."""
    return lambda shape, dtype: keras.ops.full(shape, value, dtype)
