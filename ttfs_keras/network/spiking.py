"""Layers that spike: what each says about its own output, so that nobody else has to list the kinds of layers."""

from typing import Any

import numpy as np


class Spiking:
    """Mixin of Keras layers whose output are spikes.

    Attributes:
        time_unit: unit of the layer's times: "window time", "s" or "steps".
        encodes: whether the layer turns the network's input into spikes, so that it has no neurons of its own.
    """

    time_unit = ""
    encodes = False

    def spike_counts(self, output: Any) -> Any:
        """Return how many spikes each neuron emitted, a tensor `(batch, neurons...)`, from the layer's output."""
        raise NotImplementedError  # abstract

    def spikes_end(self, arriving: float, shape: tuple) -> float:
        """Return the time by which all spikes have been emitted, in `time_unit`.

        Args:
            arriving: time by which all spikes that reach the layer have been emitted; 0 for the network's input.
            shape: of the layer's output.
        """
        raise NotImplementedError  # abstract

    def class_scores(self, output: Any) -> Any:
        """Return what is compared to find the answer, a tensor `(batch, classes)`, where the layer ends a network."""
        return output

    def spike_record(self, output: np.ndarray, end: float) -> np.ndarray:
        """Return the spikes as `tk.spikes` gives them, from the layer's output and `spikes_end`."""
        return output
