"""What every layer that emits lead times says about its spikes."""

from typing import Any

import numpy as np

from ttfs_keras.network.spiking import Spiking


def absolute_times(lead: np.ndarray, end: float) -> np.ndarray:
    """Return `end - lead`, inf where the lead time is 0, in float64."""
    lead = lead.astype(np.float64)
    return np.where(lead > 0, end - lead, np.inf)


class LeadTimes(Spiking):
    """Mixin of layers that emit lead times `end - t`, 0 for silence; subclasses have the width `window`."""

    time_unit = "tau"
    window: Any

    def spike_counts(self, output: Any) -> Any:
        """Return 1 where a neuron spiked, else 0."""
        return output > 0

    def spikes_end(self, arriving: float, shape: tuple) -> float:
        """Return the end of the window, which opens when the last input spikes have been emitted."""
        return arriving + float(self.window)

    def spike_record(self, output: np.ndarray, end: float) -> np.ndarray:
        """Return absolute times, inf where silent."""
        return absolute_times(output, end)
