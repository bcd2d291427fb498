"""The TTFS neuron: fires at most once in its window, earlier for a higher potential."""

from typing import Any

import keras

from ttfs_keras.ttfs import perturbation as perturbations
from ttfs_keras.ttfs import windows
from ttfs_keras.ttfs.gate import spike_gate
from ttfs_keras.ttfs.lead_times import LeadTimes


@keras.saving.register_keras_serializable(package="ttfs_keras")
class TTFSNeuron(LeadTimes, keras.layers.Layer):
    """Fire once on the summed synaptic input; the layer for places where branches of plain linear layers meet.

        x = min(max(z, 0), X),  z = sum_j w_ij x_j + b_i        (see `spike_gate`)

    Shapes: potentials `(batch, ..., neurons)` to lead times of the same shape, both in window time.

    Args:
        window: initial width X of the firing window, > 0. The present width is the non-trainable weight `window`.
        window_rule: `GrowToMaximum` (default), `TrackQuantile` or `FixedWindow`.
        perturbation: None, a `Perturbation` or a list of them, applied in their order to the emitted spikes.
        unit: activation of the ReLU source for a lead time of 1; a note for comparisons, nothing is computed with it.

    Raises:
        ValueError: window is not positive, or window_rule or perturbation is of another type.

    Example:
        >>> tk.TTFSNeuron(window=2.0)(np.array([[-1.0, 0.5, 3.0]])).numpy().tolist()
        [[0.0, 0.5, 2.0]]
    """

    def __init__(
        self,
        window: float = 1.0,
        window_rule: windows.WindowRule | None = None,
        perturbation: Any = None,
        unit: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not window > 0:
            raise ValueError(f"Expected window > 0. Received: window={window}")
        self.initial_window = float(window)
        self.window_rule = windows.get(window_rule)
        self.unit = float(unit)
        self.perturbations = perturbations.get(perturbation, self.name)

    def build(self, input_shape):
        self.window = self.add_weight(
            name="window", shape=(), trainable=False, aggregation="only_first_replica",
            # `keras.initializers.Constant` would round it to float32.
            initializer=lambda shape, dtype: keras.ops.full(shape, self.initial_window, dtype),
        )  # fmt: skip
        for item in self.perturbations:
            item.build(input_shape)

    def set_window(self, width):
        """Make a width, in window time, the present and the initial one."""
        self.initial_window = float(width)
        self.window.assign(width)

    def call(self, potential, training=False):
        moves = training and self.trainable  # frozen layers keep their windows
        window = self.window_rule.update(self.window, potential) if moves else self.window
        window = keras.ops.cast(window, potential.dtype)
        lead = spike_gate(potential, window)
        for item in self.perturbations:
            lead = item.perturb_spikes(lead, window)
        return lead

    def compute_output_shape(self, input_shape):
        return input_shape

    def neuron_config(self):
        """Return the arguments that layers with synapses of their own share with this one."""
        return {
            "window": self.initial_window,
            "window_rule": keras.saving.serialize_keras_object(self.window_rule),
            "perturbation": perturbations.serialize(self.perturbations),
            "unit": self.unit,
        }

    def get_config(self):
        return {**super().get_config(), **self.neuron_config()}
