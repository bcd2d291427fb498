"""One architecture, trained in every way that the package knows: `python -m experiments.four_ways`.

The spiking network is ResNet-9 and its ReLU twin; BATS, which has no residual blocks or batch norm, takes part with its
own dense network, and the table says so.
"""

import csv
import dataclasses
import io
import logging
import math
from pathlib import Path

import keras
from absl import app, flags

from ttfs_keras.bats.weights import layers as multi_spike_layers
from ttfs_keras.data import load
from ttfs_keras.files.atomic import write_text
from ttfs_keras.metrics.operations import synaptic_operations
from ttfs_keras.training.configuration import Configuration
from ttfs_keras.training.run import run

COLUMNS = {
    "way": "way", "network": "network", "accuracy": "accuracy %", "spikes": "spikes per neuron",
    "operations": "operations per image", "latency": "latency", "seconds": "whole run s",
}  # fmt: skip


def ways(settings, epochs, bats_epochs):
    """Run all ways and return one row of `COLUMNS` for each.

    Args:
        settings: fields of `Configuration` that all runs share.
        epochs: of the ReLU network and of the spiking one; fine-tuning takes a quarter of them.
        bats_epochs: of the multi-spike network.
    """
    common = {"model_name": "four_ways_ResNet9", "batch_size": 64, "save": True, **settings}
    tuning = math.ceil(epochs / 4)
    relu, relu_path = _train(common, model_type="ReLU", lr=0.002, epochs=epochs)
    load = {"load": str(relu_path)}
    runs = {
        "ReLU": (relu, relu_path),
        "TTFS, mapped": _train(common, model_type="SNN", epochs=0, **load),
        "TTFS, fine-tuned": _train(common, model_type="SNN", lr=1e-4, epochs=tuning, **load),
        "STBP": _train(common, model_type="STBP", lr=0.002, lr_schedule="cosine", epochs=epochs),
        "STBP, from ReLU": _train(common, model_type="STBP", lr=0.001, lr_schedule="cosine", epochs=tuning, **load),
        "BATS": _train(common, model_type="BATS", model_name="four_ways_spike_count", epochs=bats_epochs),
    }
    x = _data(settings).x_test[:256]
    return [_row(way, card, keras.saving.load_model(path), x) for way, (card, path) in runs.items()]


def _data(settings):
    """Return the `Dataset` of a run."""
    c = Configuration(**settings)
    return load(c.data_name, c.data_dir, c.train_samples, c.test_samples)


def _train(common, **settings):
    configuration = Configuration(**{**common, **settings})
    card = run(configuration)
    path = configuration.folder / f"{configuration.model_type}.keras"
    # The next run of the same name would replace it.
    kept = path.with_name(f"{settings['model_type']}-{settings['epochs']}-{'load' in settings}.keras")
    path.rename(kept)
    return card, kept


def _row(way, card, model, x):
    spikes = card["spikes_per_neuron"]
    return {
        "way": way,
        "network": _sizes(model) if way == "BATS" else "ResNet-9",
        "accuracy": f"{100 * card['accuracy']:.2f}",
        "spikes": "" if spikes is None else f"{spikes:.2f}",
        "operations": f"{synaptic_operations(model, x):.3g}",
        "latency": "" if card["latency"] is None else f"{card['latency']:.3g} {card['latency_unit']}",
        "seconds": f"{card['run_seconds']:.0f}",
    }


def _sizes(model):
    """Return the sizes of the populations of a dense multi-spike network, such as 784-800-10."""
    kernels = [layer.kernel for layer in multi_spike_layers(model)]
    return "-".join(map(str, [kernels[0].shape[0], *(kernel.shape[1] for kernel in kernels)]))


def table(rows):
    """Return rows as a Markdown table."""
    lines = [COLUMNS.values(), ["---"] * len(COLUMNS), *(row.values() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main(_):
    """Run, print and write `four_ways_<data>.csv` and `.md`."""
    logging.getLogger("ttfs_keras").propagate = False  # absl would print what the run folders log
    given = flags.FLAGS
    names = ("data_name", "data_dir", "logging_dir", "seed", "train_samples", "test_samples")
    rows = ways({name: given[name].value for name in names}, given.epochs, given.bats_epochs)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    to = Path(given.logging_dir)
    write_text(to / f"four_ways_{given.data_name}.csv", text.getvalue())
    write_text(to / f"four_ways_{given.data_name}.md", table(rows))
    print(table(rows))


if __name__ == "__main__":
    defaults = {item.name: item.default for item in dataclasses.fields(Configuration)}
    flags.DEFINE_string("data_name", "DIGITS", "data set")
    flags.DEFINE_string("data_dir", None, "folder with its files")
    flags.DEFINE_string("logging_dir", "logs", "where the table and the run folders go")
    flags.DEFINE_integer("seed", 0, "of all runs")
    flags.DEFINE_integer("train_samples", None, "use only the first training images")
    flags.DEFINE_integer("test_samples", None, "use only the first test images")
    flags.DEFINE_integer("epochs", 12, "of the ReLU network and the spiking one; a quarter of that for fine-tuning")
    flags.DEFINE_integer("bats_epochs", 12, "of the multi-spike network")
    app.run(main)
