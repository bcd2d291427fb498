"""Deep spiking networks, trained directly with surrogate gradients."""

import keras

from ttfs_keras import plots, stbp
from ttfs_keras.data import steps
from ttfs_keras.data.augmentation import augmented, flipped, shifted
from ttfs_keras.errors import ConfigurationError, WeightsError
from ttfs_keras.files.atomic import write_json
from ttfs_keras.models.stbp import stbp_model, stbp_network
from ttfs_keras.network.graph import layers_of
from ttfs_keras.training.recipes.recipe import Recipe
from ttfs_keras.training.schedules import StepsDecay
from ttfs_keras.training.sources import load_keras

CHECKED = 64  # images of the health check
CALIBRATION = 512  # images on which the weights of a ReLU network are fitted to spikes


class STBPRecipe(Recipe):
    """ResNet-19 and ResNet-9, from scratch or from the weights of their trained ReLU twin."""

    best = "val_loss"
    card_batch = 32  # all spikes of a batch are in memory at once

    def __init__(self, configuration, data):
        super().__init__(configuration, data)
        c = configuration
        held_out = max(1, round(c.validation * len(data.x_train))) if c.validation else 0
        kept = len(data.x_train) - held_out
        self.x_train, self.y_train = data.x_train[:kept], data.y_train[:kept]
        self.held_out = (data.x_train[kept:], data.y_train[kept:])
        if not held_out:
            self.best = "loss"
        loaded = load_keras(c.load_path, data, c.dtype) if c.load_path is not None else None
        if loaded is not None and layers_of(loaded, stbp.LIF):
            self.model = loaded
            return
        self.model = stbp_model(c.model_name, data.image_shape, data.classes, c.preset, **_settings(c))
        if loaded is None:
            self.ready = False  # batch norms without statistics
            return
        try:
            stbp.from_relu(self.model, loaded, self.x_train[:CALIBRATION])
        except ValueError as error:
            raise WeightsError(f"{c.load_path}: {error}") from error

    @staticmethod
    def settings(configuration):
        """Return those of the networks' source."""
        if stbp_network(configuration.model_name) is None:
            raise ConfigurationError(
                f"model_name: expected a name with ResNet19 or ResNet9 in it. Received: {configuration.model_name!r}"
            )
        return {"lr": 0.001, "batch_size": 64, "epochs": 11, "patience": 7}

    @staticmethod
    def problems(configuration):
        """Return settings of neurons outside their range, and an evaluation without training."""
        c, problems = configuration, []
        try:
            stbp.Settings(**_settings(c))
        except ValueError as error:
            problems += str(error).splitlines()
        if not 0 <= c.validation < 1:
            problems.append(f"validation: expected a share from 0 to below 1. Received: {c.validation}")
        try:
            _drops(c)
        except ValueError:
            problems.append(f"lr_drops: expected epochs, such as 10 or 8,10. Received: {c.lr_drops!r}")
        if c.epochs == 0 and c.load_path is None:
            problems.append(
                "epochs: expected at least 1 for a new network, whose batch norms have no statistics. Received: 0"
            )
        if c.load_path is not None and c.load_path.suffix != ".keras":
            problems.append(f"load: expected a .keras file of an STBP network or its ReLU twin. Received: {c.load!r}")
        return problems

    def optimizer(self):
        """Return Adam, its rate times 0.1 after given epochs or along a cosine."""
        c, per_epoch = self.configuration, steps(len(self.x_train), self.configuration.batch_size)
        if c.lr_schedule == "cosine":
            rate = keras.optimizers.schedules.CosineDecay(c.lr, c.epochs * per_epoch)
            return keras.optimizers.Adam(rate, epsilon=1e-8)
        return keras.optimizers.Adam(StepsDecay(c.lr, 0.1, [e * per_epoch for e in _drops(c)]), epsilon=1e-8)

    def batches(self, first_epoch):
        """Shift and flip the images as asked."""
        c, found = self.configuration, super().batches(first_epoch)
        seen = first_epoch * steps(len(self.x_train), c.batch_size)
        if c.shift:
            found = augmented(found, lambda x, key: shifted(x, key, c.shift), c.seed, seen)
        return augmented(found, flipped, c.seed + 1, seen) if c.flip else found

    def validation(self):
        """Return the images held out of training."""
        return (*self.held_out, self.configuration.batch_size) if len(self.held_out[0]) else None

    def callbacks(self, folder):
        """Return the health check, on images that are not trained on where there are any."""
        x, y = self.held_out if len(self.held_out[0]) >= 2 else (self.x_train, self.y_train)
        return [stbp.HealthCheck(x[:CHECKED], y[:CHECKED])]

    def plot(self, folder, card):
        """Draw firing rates of one image and of all, and accuracy against time steps; write both."""
        x, y, to = self.data.x_test, self.data.y_test, folder / "plots"
        one, rates = stbp.firing_rates(self.model, x[:1]), stbp.firing_rates(self.model, x)
        by_time = [float(a) for a in stbp.accuracy_by_time(self.model, x, y)]
        card["accuracy_by_time_steps"] = by_time
        write_json(folder / "rates.json", {"first test image": one, "test images": rates})
        mean = sum(rates.values()) / len(rates)
        return [
            plots.spikes_per_neuron(one, to / "rates_one_image.png", sum(one.values()) / len(one)),
            plots.spikes_per_neuron(rates, to / "rates.png", mean),
            plots.monitor(range(1, len(by_time) + 1), by_time, "accuracy", to / "accuracy_by_time.png", "time steps"),
        ]


def _settings(c):
    """Return the settings of the neurons that flags give; None: those of the preset."""
    names = ("time_steps", "threshold", "decay", "surrogate", "width", "alpha", "decoder", "encoder")
    given = {name: getattr(c, name) for name in names if getattr(c, name) is not None}
    return {**given, "dtype": c.dtype}


def _drops(c):
    return [int(epoch) for epoch in c.lr_drops.split(",") if epoch]
