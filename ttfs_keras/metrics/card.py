"""The metric card: one dict of measurements of a model on data."""

import platform
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.network.answers import Answers, mean
from ttfs_keras.network.graph import Graph, compiled
from ttfs_keras.network.inputs import Inputs
from ttfs_keras.network.spiking import read_out_time, spiking_calls
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


def metric_card(
    model: keras.Model,
    x: Any,
    y: Any = None,
    source: keras.Model | None = None,
    seed: int | None = None,
    batch_size: int = 128,
    accuracy: keras.metrics.Metric | None = None,
) -> MetricCard:
    """Measure a ReLU, TTFS, BATS or STBP model.

    Args:
        model: `keras.Model` whose outputs are logits, probabilities, numbers, or what its last layer of neurons emits.
        x: inputs, see `ttfs_keras.network.inputs.Inputs`; a data set may hold the labels, too.
        y: labels of each sample: integers `(samples,)` or `(samples, 1)`, one-hot `(samples, classes)`, 0 and 1 behind
            a sigmoid; a list of them for several outputs.
        source: the ReLU model that `model` was mapped from, if there is one.
        seed: of the run, to be noted.
        batch_size: samples at a time.
        accuracy: Keras metric of (y, outputs) for a model of one output; None: see `ttfs_keras.network.answers`.

    Returns:
        `MetricCard` with accuracy (0..1; None for outputs that are numbers; the mean of several outputs), agreement
        (share of equal answers) and max_abs_error (of the outputs) against the source or None, spikes_per_neuron (of
        all but encoders), latency (time until the outputs are read, in latency_unit), inputs_outside_range (clipped by
        encoders), layers (each: neurons, spikes_per_neuron, silent_share: neurons that no sample makes fire), samples,
        seconds, versions, seed.

    Raises:
        ValueError: x does not fit the model or is not finite, or y does not fit x and the outputs.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), tk.TTFSEncoder(), tk.TTFSReadout(3)])
        >>> card = tk.metric_card(model, np.zeros((5, 2)), np.zeros(5, int))
        >>> card["samples"], card["spikes_per_neuron"], card["latency"], card["latency_unit"]
        (5, None, 1.0, 'tau')
    """
    graph = Graph(model)
    measured = _Measured(graph)
    if y is not None and not isinstance(x, tf.data.Dataset):
        _check_lengths(len(_leaves(y)[0]), len(_leaves(x)[0]))
    reference = None if source is None else compiled(source)
    batches, expected, labels, seconds = [], [], [], 0.0
    for batch, found in Inputs(model, x, batch_size).with_labels():
        start = time.perf_counter()
        batches.append(measured.add(batch))
        seconds += time.perf_counter() - start
        labels.append(found)
        if reference is not None:
            expected.append([np.asarray(value) for value in reference(*batch)])
    if y is None and labels[0] is None:
        raise ValueError("Expected labels, as y or in the data set. Received: none")
    answers = (
        _leaves(y) if y is not None else [np.concatenate(part) for part in zip(*map(_leaves, labels), strict=True)]
    )
    _check_lengths(len(answers[0]), measured.samples)
    outputs = _joined(batches)
    readings = [Answers(graph, symbol) for symbol in graph.outputs]
    if len(answers) != len(outputs):
        raise ValueError(f"y: expected labels for {len(outputs)} outputs. Received: {len(answers)}")
    scores = [reading.scores(output) for reading, output in zip(readings, outputs, strict=True)]
    agreement = error = None
    if reference is not None:
        of_source = _joined(expected)
        agreement = mean([r.agreement(s, e) for r, s, e in zip(readings, scores, of_source, strict=True)])
        error = max(float(np.abs(output - e).max()) for output, e in zip(outputs, of_source, strict=True))
    if accuracy is None:
        value = mean([r.accuracy(s, a) for r, s, a in zip(readings, scores, answers, strict=True)])
    else:
        value = _value(accuracy, answers[0], outputs[0])
    latency, unit = read_out_time(graph)
    return MetricCard(
        accuracy=value,
        agreement=agreement,
        max_abs_error=error,
        spikes_per_neuron=measured.spikes_per_neuron(),
        latency=latency,
        latency_unit=unit,
        inputs_outside_range=measured.outside,
        samples=measured.samples,
        seconds=seconds,
        seed=seed,
        layers=measured.layers(),
        versions={
            "ttfs_keras": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "python": platform.python_version(),
        },
    )


class _Measured:
    """Sums over batches: spikes of each neuron, values that encoders clip."""

    def __init__(self, graph):
        self.calls = spiking_calls(graph)
        self.counts: list[Any] = [0] * len(self.calls)
        encoders = [call for call in self.calls if getattr(call.operation, "input_range", None) is not None]
        self.outside = 0 if encoders else None
        self.samples = 0

        def read(values):
            taken, emitted, outputs = (
                values[: len(encoders)],
                values[len(encoders) :][: len(self.calls)],
                values[split:],
            )
            counts = [
                tf.reduce_sum(tf.cast(call.operation.spike_counts(value), tf.int64), axis=0)
                for call, value in zip(self.calls, emitted, strict=True)
            ]
            clipped = [_outside(value, call.operation) for call, value in zip(encoders, taken, strict=True)]
            return outputs, counts, clipped

        split = len(encoders) + len(self.calls)
        wanted = [call.inputs[0] for call in encoders] + [call.outputs[0] for call in self.calls] + graph.outputs
        self._run = graph.compiled(wanted, read)

    def add(self, batch):
        """Count a batch and return the list of its outputs."""
        outputs, counts, clipped = self._run(*batch)
        self.counts = [total + np.asarray(n) for total, n in zip(self.counts, counts, strict=True)]
        if self.outside is not None:
            self.outside += sum(int(n) for n in clipped)
        self.samples += len(batch[0])
        return [np.asarray(output) for output in outputs]

    def layers(self):
        """Return a row for each layer that spikes."""
        return {
            call.name: {
                "neurons": int(count.size),
                "spikes_per_neuron": float(count.mean() / self.samples),
                "silent_share": float(np.mean(count == 0)),
            }
            for call, count in zip(self.calls, self.counts, strict=True)
        }

    def spikes_per_neuron(self):
        """Return the mean over all neurons but those of encoders, None if there are none."""
        counts = [n for call, n in zip(self.calls, self.counts, strict=True) if not call.operation.encodes]
        if not counts:
            return None
        return float(sum(n.sum() for n in counts) / sum(n.size for n in counts) / self.samples)


def _outside(values, encoder):
    low, high = encoder.input_range
    values = tf.cast(values, encoder.compute_dtype)
    return tf.reduce_sum(tf.cast(~((values >= low) & (values <= high)), tf.int64))


def _joined(batches):
    """Return lists of arrays, one list a batch, as one list."""
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


def _check_lengths(labels, inputs):
    if not labels == inputs > 0:
        raise ValueError(f"Expected as many labels as inputs, and at least one. Received: {labels} and {inputs}")


def _leaves(data):
    """Return arrays, one for each input or output, of what is given for them; a data set has no arrays."""
    if isinstance(data, dict):
        return list(data.values())
    several = isinstance(data, list | tuple) and len(data) > 0 and np.ndim(data[0]) > 0
    return list(data) if several else [np.asarray(data)]


def _value(metric, y, outputs):
    """Return the value of a metric and leave it empty, which `fit` would not do before its first epoch."""
    metric.reset_state()
    metric.update_state(y, outputs)
    value = float(metric.result())
    metric.reset_state()
    return value
