"""ReLU networks and the TTFS networks mapped from them."""

import logging

from ttfs_keras import plots
from ttfs_keras.conversion.verify import verify
from ttfs_keras.files.atomic import write_json
from ttfs_keras.models.families import optimizer, parse
from ttfs_keras.network.graph import Graph
from ttfs_keras.network.spiking import spiking_calls
from ttfs_keras.training.recipes.recipe import Recipe
from ttfs_keras.training.sources import initial_model
from ttfs_keras.ttfs.schedule import schedule
from ttfs_keras.ttfs.spike_times import spike_times

logger = logging.getLogger("ttfs_keras")

CERTIFIED = 256  # images on which a mapped network is compared with its source layer by layer
PLOTTED = 100  # images in the histograms of spike times


class TTFSRecipe(Recipe):
    """Map, fine-tune or train from scratch."""

    def __init__(self, configuration, data):
        super().__init__(configuration, data)
        self.model, self.source = initial_model(configuration, data)

    @staticmethod
    def settings(configuration):
        """Return the defaults of all families."""
        parse(configuration.model_name)
        return {"batch_size": 8, "epochs": 20, "patience": 0}

    @staticmethod
    def problems(configuration):
        """Return a folder where a file is needed, and a custom network without its file."""
        c, problems = configuration, []
        if c.load_path is not None and c.load_path.is_dir():
            problems.append(f"load: expected a file. Received: {c.load!r}, a folder")
        if "CUSTOM" in c.model_name.upper() and (c.load_path is None or c.load_path.suffix != ".keras"):
            problems.append(f"load: expected the .keras file of the custom model. Received: {c.load!r}")
        return problems

    def optimizer(self):
        """Return the optimizer of the family."""
        return optimizer(self.configuration.model_name, self.configuration.lr)

    def columns(self):
        """Return the width of each window."""
        neurons = [call for call in spiking_calls(Graph(self.model)) if not call.operation.encodes]
        return {f"window/{call.name}": float(call.operation.window) for call in neurons}

    def before_training(self, folder):
        """Write `certificate.json` and its plot: the mapped network against its source."""
        if self.source is None:
            return
        report = verify(self.model, self.source, self.data.x_test[:CERTIFIED])
        report.to_json(folder / "certificate.json")
        report.plot(folder / "plots" / "layer_errors.png")
        logger.info("%s", report)

    def plot(self, folder, card):
        """Draw spike times, a raster and firing rates; write the windows."""
        if not spiking_calls(Graph(self.model)):
            return []
        windows = {name: (float(w.start), float(w.end)) for name, w in schedule(self.model).items()}
        write_json(folder / "windows.json", windows)
        times = spike_times(self.model, self.data.x_test[:PLOTTED])
        one = {name: t[0] for name, t in times.items()}
        rates = {name: row["spikes_per_neuron"] for name, row in card["layers"].items()}
        to = folder / "plots"
        return [
            plots.spike_time_histogram(times, windows, to / "spike_times.png"),
            plots.spike_raster(one, windows, to / "raster.png"),
            plots.spikes_per_neuron(rates, to / "spikes_per_neuron.png", card["spikes_per_neuron"]),
        ]
