"""What the TTFS layers with weights share: from trained variables to physical and to effective weights."""

from typing import Any

import keras
from keras import ops

from ttfs_keras.ttfs import parameterization as parameterizations
from ttfs_keras.ttfs import perturbation as perturbations
from ttfs_keras.ttfs.lead_times import LeadTimes
from ttfs_keras.ttfs.neuron import TTFSNeuron


def given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that are not None: not every version of Keras knows them."""
    return {name: value for name, value in arguments.items() if value is not None}


class Synapses(keras.layers.Layer):
    """Base beside a Keras layer whose `kernel` and `bias` hold the synaptic weights W and threshold offsets D.

    Adds the arguments `parameterization` ("b1" or "alpha1") and `perturbation` to the Keras layer's own, less
    `activation`. The attribute `perturbations` is the list whose `perturb_weights` applies.
    """

    def __init__(self, *args, parameterization="b1", perturbation=None, **kwargs):
        super().__init__(*args, **kwargs)
        if self.activation is not keras.activations.linear:
            raise ValueError(
                f"{type(self).__name__} takes no activation: a spiking neuron or the read-out is built in. "
                f"Received: activation={keras.activations.serialize(self.activation)!r}"
            )
        self.parameterization = parameterizations.get(parameterization)
        self.perturbations = perturbations.get(perturbation, self.name)

    def trained_weights(self, input_shape):
        """Return W and D (or None) before perturbation, for inputs of `input_shape` `(batch, ..., inputs)`."""
        return self.kernel, self.bias

    def physical_weights(self, input_shape):
        """Return what hardware would hold: W `(..., inputs, neurons)` and D `(..., neurons)` or None.

        Args:
            input_shape: `(batch, ..., inputs)`; a map of D depends on it.
        """
        weights, offsets = self.trained_weights(input_shape)
        for item in self.perturbations:
            weights, offsets = item.perturb_weights(weights, offsets)
        return weights, offsets

    def effective_weights(self, input_shape):
        """Return the equivalent ReLU weights w and biases b (or None); see the parameterization."""
        return self.parameterization.effective(*self.physical_weights(input_shape))

    def integrate(self, lead, weights):
        """Return the sums over the synapses, `(batch, ..., neurons)`, of lead times and effective weights."""
        raise NotImplementedError  # abstract

    def potential(self, lead):
        """Return z = sum_j w_ij x_j + b_i, `(batch, ..., neurons)`, in window time."""
        weights, biases = self.effective_weights(ops.shape(lead))
        potential = self.integrate(lead, weights)
        return potential if biases is None else ops.add(potential, biases)

    def slope(self, input_shape):
        """Return B, `(neurons,)`: dV/dt inside the window."""
        return self.parameterization.slope(self.physical_weights(input_shape)[0])

    def get_config(self):
        config = {**super().get_config(), "parameterization": parameterizations.name(self.parameterization)}
        del config["activation"]
        return {**config, "perturbation": perturbations.serialize(self.perturbations)}


class SpikingSynapses(LeadTimes, Synapses):
    """Synapses that end in a `TTFSNeuron`, whose arguments `window`, `window_rule` and `unit` they add."""

    def __init__(self, *args, window=1.0, window_rule=None, perturbation=None, unit=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        name = f"{self.name}_neuron"
        self.neuron = TTFSNeuron(window, window_rule, perturbation, unit, dtype=self.dtype_policy, name=name)
        # One list, so that the weights see the perturbations that the spikes see.
        self.perturbations = self.neuron.perturbations

    def build(self, input_shape):
        super().build(input_shape)
        self.neuron.build(self.compute_output_shape(input_shape))

    def call(self, lead, training=False):
        return self.neuron(self.potential(lead), training=training)

    @property
    def window(self):
        """The present width t_max - t_min, a scalar weight in window time."""
        return self.neuron.window

    def threshold(self, input_shape, input_window):
        """Return theta = B (t_max - t_min) + A (t_min - t_min_prev) - D, `(neurons,)` or a map of them.

        Args:
            input_shape: `(batch, ..., inputs)`.
            input_window: t_min - t_min_prev, the width of the window in which the inputs spike, in window time.
        """
        offsets = self.physical_weights(input_shape)[1]
        rest = self.slope(input_shape) * self.window + self.parameterization.initial_slope * input_window
        return rest if offsets is None else rest - offsets

    def get_config(self):
        return {**super().get_config(), **self.neuron.neuron_config()}
