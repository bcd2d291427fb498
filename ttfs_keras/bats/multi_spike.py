"""What dense and convolutional multi-spike layers share: the neuron's constants, its op, its monitor."""

import keras
import tensorflow as tf

from ttfs_keras import arguments, ops
from ttfs_keras.bats.layer import SpikeTrainLayer
from ttfs_keras.bats.monitor import SpikeMonitor
from ttfs_keras.bats.spike_trains import SpikeTrains
from ttfs_keras.constraints import Between

CONSTANTS = ("threshold", "delta_threshold", "tau_s")  # in the op's order


class MultiSpikeLayer(SpikeTrains, SpikeTrainLayer):
    """Base of the layers of multi-spike neurons; subclasses create the kernel, lay out the trains and call `validate`.

    Args:
        tau_s: synaptic time constant, seconds; the membrane's is twice that.
        threshold: of the membrane potential.
        delta_threshold: what a spike takes off the potential; None: the threshold.
        max_spikes: length of the trains; 1 is the single-spike model.
        simulation_time: seconds; no spike comes later.
        kernel_initializer: default uniform in [-1, 1].
        kernel_regularizer, kernel_constraint: as in Keras.
        learned: names out of `tau_s`, `threshold`, `delta_threshold` that are trained along, each a scalar weight.
        recovery: None, or what makes silent neurons learn: a `PeakPotential`.
        min_slope: the gradient takes at least this for du/dt at a spike; 0: as it is. Bounds gradients near tangency.

    Raises:
        ValueError: lists every argument that cannot work.
    """

    def __init__(
        self,
        tau_s=0.13,
        threshold=0.2,
        delta_threshold=None,
        max_spikes=30,
        simulation_time=0.2,
        kernel_initializer=None,
        kernel_regularizer=None,
        kernel_constraint=None,
        learned=(),
        recovery=None,
        min_slope=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.supports_jit = False  # XLA cannot compile a custom op
        self.tau_s, self.threshold = tau_s, threshold
        self.delta_threshold = threshold if delta_threshold is None else delta_threshold
        self.max_spikes, self.simulation_time, self.min_slope = max_spikes, simulation_time, min_slope
        if kernel_initializer is None:
            kernel_initializer = keras.initializers.RandomUniform(-1.0, 1.0)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.learned = (learned,) if isinstance(learned, str) else tuple(learned or ())
        self.recovery = keras.saving.deserialize_keras_object(recovery) if isinstance(recovery, dict) else recovery

    def validate(self, *found):
        """Raise the ValueError that lists what a subclass found and what is wrong with the arguments above, if any."""
        problems = list(found)
        for name in (*CONSTANTS, "simulation_time"):
            value = getattr(self, name)
            if not arguments.positive(value):
                problems.append(f"{name}: expected a positive number. Received: {value!r}")
        if not arguments.count(self.max_spikes):
            problems.append(f"max_spikes: expected an int of at least 1. Received: {self.max_spikes!r}")
        if not arguments.finite(self.min_slope, 0):
            problems.append(f"min_slope: expected 0 or more. Received: {self.min_slope!r}")
        if not set(self.learned) <= set(CONSTANTS) or len(set(self.learned)) < len(self.learned):
            problems.append(f"learned: expected different names out of {CONSTANTS}. Received: {self.learned}")
        if not (self.recovery is None or callable(self.recovery)):
            problems.append(f"recovery: expected a PeakPotential or None. Received: {self.recovery!r}")
        if problems:
            raise ValueError(f"Layer {self.name!r} cannot work:\n  " + "\n  ".join(problems))
        self.max_spikes = int(self.max_spikes)

    def add_weights(self, kernel_shape, neurons):
        """Create the kernel, the learned constants and the monitor of so many neurons."""
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

    def constant(self, name):
        """Return a constant of the neuron as a scalar tensor: the learned weight or the argument."""
        if name in self.learned:
            return tf.convert_to_tensor(self.learned_weights[name])
        return tf.constant(getattr(self, name), self.compute_dtype)

    def fire(self, times, kernel):
        """Return the spikes (batch, height, width, units, max_spikes) of trains and kernel laid out as images."""
        threshold, delta_threshold, tau_s, end = map(self.constant, (*CONSTANTS, "simulation_time"))
        spikes, counts, overflow = ops.spikes(
            times, kernel, threshold, delta_threshold, tau_s, end, self.max_spikes, self.min_slope
        )
        self.monitor.update_state(counts, overflow)
        if self.recovery is not None:

            def loss():
                peaks, _ = ops.peaks(times, kernel, tau_s, end)
                # -inf, without input, would make the gradient of a learned threshold NaN: 0 times infinity.
                reached = peaks > -float("inf")
                share = tf.where(reached, tf.where(reached, peaks, 0) / threshold, peaks)
                return self.recovery(share, counts)

            # Peaks cost as much as the spikes do, and mostly nobody is silent.
            silent = tf.reduce_any(counts == 0)
            self.add_loss(tf.cond(silent, loss, lambda: tf.zeros((), self.compute_dtype)))
        return spikes

    def arriving_spikes(self, trains):
        """Return how many spikes each input has."""
        return self.spike_counts(trains)

    def spikes_end(self, arriving, shape):
        """Return the end of the simulation."""
        return self.simulation_time

    def add_loss(self, loss):
        """Add a scalar to the model's loss; Keras wants all parts of it in its `floatx`, whatever the dtype here."""
        super().add_loss(tf.cast(loss, keras.config.floatx()))

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "tau_s": self.tau_s,
            "threshold": self.threshold,
            "delta_threshold": self.delta_threshold,
            "max_spikes": self.max_spikes,
            "simulation_time": self.simulation_time,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "learned": list(self.learned),
            "recovery": keras.saving.serialize_keras_object(self.recovery),
            "min_slope": self.min_slope,
        }


def _constant(value):
    """Return an initializer; Keras's own rounds a float64 value to float32."""
    return lambda shape, dtype: keras.ops.full(shape, value, dtype)
