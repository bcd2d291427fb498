"""ReLU networks and the TTFS networks mapped from them."""

import logging
from typing import Any, cast

from ttfs_keras import plots
from ttfs_keras.conversion.verify import verify
from ttfs_keras.data import Dataset
from ttfs_keras.errors import ConfigurationError
from ttfs_keras.files.atomic import write_json
from ttfs_keras.inference.comparison import comparison
from ttfs_keras.inference.plan import Plan
from ttfs_keras.metrics.card import MetricCard
from ttfs_keras.network.graph import Graph
from ttfs_keras.network.spiking import spiking_calls
from ttfs_keras.ops.event_driven import required_library
from ttfs_keras.training.configuration import Configuration
from ttfs_keras.training.folder import RunFolder
from ttfs_keras.training.recipes.recipe import Recipe
from ttfs_keras.training.sources import initial_model
from ttfs_keras.ttfs.schedule import schedule
from ttfs_keras.ttfs.sparsity import sparsify, unpenalized
from ttfs_keras.ttfs.spike_times import spike_times

logger = logging.getLogger("ttfs_keras")

CERTIFIED = 256  # images on which a mapped network is compared with its source layer by layer
PLOTTED = 100  # images in the histograms of spike times


class TTFSRecipe(Recipe):
    """Map, fine-tune or train from scratch."""

    def __init__(self, configuration: Configuration, data: Dataset):
        super().__init__(configuration, data)
        self.event_driven = configuration.event_driven
        if self.event_driven:
            required_library()
        self.model, self.source = initial_model(configuration, data)
        if configuration.sparsity:
            try:
                self.model = sparsify(self.model, cast(float, configuration.target_spikes), configuration.sparsity)
            except ValueError as error:
                raise ConfigurationError(f"sparsity: {error}") from error

    def columns(self) -> dict[str, float]:
        """Return the width of each window."""
        neurons = [call for call in spiking_calls(Graph(self.model)) if not call.operation.encodes]
        return {f"window/{call.name}": float(call.operation.window) for call in neurons}

    def before_training(self, folder: RunFolder) -> None:
        """Write `certificate.json` and its plot: the mapped network against its source."""
        if self.source is None:
            return
        report = verify(self.model, self.source, self.data.x_test[:CERTIFIED])
        report.to_json(folder / "certificate.json")
        if any(row.max_abs_error is not None for row in report.layers):
            report.plot(folder / "plots" / "layer_errors.png")
        logger.info("%s", report)

    def plot(self, folder: RunFolder, card: MetricCard, rows: list[dict[str, float]]) -> list[Any]:
        """Draw spike times, a raster and spikes per neuron; write the windows."""
        drawn = super().plot(folder, card, rows)
        if self.event_driven:
            card["event_driven"] = found = comparison(unpenalized(self.model), self.source, self.data.x_test[:1])
            logger.info("event-driven, one image at a time:\n%s", Plan.from_config(found["layers"]))
            logger.info("%s", {name: value for name, value in found.items() if name != "layers"})
        if all(call.operation.encodes for call in spiking_calls(Graph(self.model))):
            return drawn
        windows = {name: (float(w.start), float(w.end)) for name, w in schedule(self.model).items()}
        write_json(folder / "windows.json", windows)
        times = spike_times(self.model, self.data.x_test[:PLOTTED])
        one = {name: t[0] for name, t in times.items()}
        rates = {name: row["spikes_per_neuron"] for name, row in card["layers"].items()}
        to = folder / "plots"
        return [
            *drawn,
            plots.spike_time_histogram(times, windows, to / "spike_times.png"),
            plots.spike_raster(one, windows, to / "raster.png"),
            plots.spikes_per_neuron(rates, to / "spikes_per_neuron.png", card["spikes_per_neuron"]),
        ]
