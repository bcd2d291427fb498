"""The metric card: one dict of measurements of a model on data."""

import platform
import time

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.bats.metrics import CountAccuracy
from ttfs_keras.data import outside_range
from ttfs_keras.metrics.activity import decision_time, probe
from ttfs_keras.network.graph import compiled
from ttfs_keras.version import __version__


class MetricCard(dict):
    """Measurements by name; `str()` is a table, and all values can be written as JSON."""

    def __str__(self):
        def text(value):
            return f"{value:.6g}" if isinstance(value, float) else str(value)

        rows = [(name, text(value)) for name, value in self.items() if not isinstance(value, dict)]
        rows += [("versions", ", ".join(f"{name} {version}" for name, version in self["versions"].items()))]
        lines = [f"{name:<20} {value}" for name, value in rows]
        if self["layers"]:
            lines.append(f"{'layer':<20} {'neurons':>10} {'spikes/neuron':>14} {'silent share':>13}")
            for name, row in self["layers"].items():
                lines.append(
                    f"{name:<20} {row['neurons']:>10} {row['spikes_per_neuron']:>14.4f} {row['silent_share']:>13.4f}"
                )
        return "\n".join(lines)


def metric_card(model, x, y, source=None, seed=None, batch_size=128, accuracy=None):
    """Measure a ReLU, TTFS, BATS or STBP model.

    Args:
        model: `keras.Model` whose outputs are logits, probabilities or, of a BATS model, spike trains.
        x: inputs `(samples, ...)`.
        y: labels `(samples,)`.
        source: the ReLU model that `model` was mapped from, if there is one.
        seed: of the run, to be noted.
        batch_size: images at a time.
        accuracy: Keras metric of (y, outputs); None: the largest output is the answer, of spike trains the longest.

    Returns:
        `MetricCard` with accuracy (0..1), agreement (share of equal argmax) and max_abs_error (of the outputs) against
        the source or None, spikes_per_neuron (of all but the encoder), latency (time until the outputs are read, in
        latency_unit), inputs_outside_range (clipped by the encoder), layers (each: neurons, spikes_per_neuron,
        silent_share: neurons that no sample makes fire), samples, seconds, versions, seed.

    Raises:
        ValueError: x and y differ in length or are empty.
    """
    if len(x) != len(y) or not len(x):
        raise ValueError(f"Expected as many labels as inputs, and at least one. Received: {len(y)} and {len(x)}")
    start = time.perf_counter()
    found, run = probe(model)
    counts = [np.zeros((), int) for _ in found]
    outputs = []
    for at in range(0, len(x), batch_size):
        values, (output,) = run(x[at : at + batch_size])
        batch = [e.spikes(np.asarray(value)) for e, value in zip(found, values, strict=True)]
        counts = [total + n.sum(axis=0) for total, n in zip(counts, batch, strict=True)]
        outputs.append(np.asarray(output))
    seconds = time.perf_counter() - start
    outputs = np.concatenate(outputs)
    reference = None
    if source is not None:  # not by `predict`, which casts arrays to float32
        evaluate = compiled(source)
        parts = [evaluate(x[at : at + batch_size])[0] for at in range(0, len(x), batch_size)]
        reference = np.concatenate(parts)

    rows = {
        e.name: {
            "neurons": int(count.size),
            "spikes_per_neuron": float(count.mean() / len(x)),
            "silent_share": float(np.mean(count == 0)),
        }
        for e, count in zip(found, counts, strict=True)
    }
    neurons = [count for e, count in zip(found, counts, strict=True) if not e.encodes]
    encoder = next((e.layer for e in found if e.encodes), None)
    latency, unit = decision_time(model)
    if accuracy is None and outputs.ndim == 3:
        accuracy = CountAccuracy()
    return MetricCard(
        accuracy=float(np.mean(outputs.argmax(-1) == y)) if accuracy is None else _value(accuracy, y, outputs),
        agreement=None if reference is None else float(np.mean(outputs.argmax(-1) == reference.argmax(-1))),
        max_abs_error=None if reference is None else float(np.abs(outputs - reference).max()),
        spikes_per_neuron=sum(c.sum() for c in neurons) / sum(c.size for c in neurons) / len(x) if neurons else None,
        latency=latency,
        latency_unit=unit,
        inputs_outside_range=None if encoder is None else outside_range(x, encoder.input_range),
        samples=len(x),
        seconds=seconds,
        seed=seed,
        layers=rows,
        versions={
            "ttfs_keras": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "python": platform.python_version(),
        },
    )


def _value(metric, y, outputs):
    """Return the value of a metric and leave it empty, which `fit` would not do before its first epoch."""
    metric.reset_state()
    metric.update_state(y, outputs)
    value = float(metric.result())
    metric.reset_state()
    return value
