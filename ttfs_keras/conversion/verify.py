"""The certificate: how a spiking network compares with its source, layer by layer."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.arguments import epsilon
from ttfs_keras.files.atomic import write_text
from ttfs_keras.network.graph import Graph, evaluate
from ttfs_keras.network.inputs import Inputs
from ttfs_keras.ttfs.premature import above_width, rounded_up
from ttfs_keras.ttfs.synaptic_map import Populations
from ttfs_keras.ttfs.windows import Clip

BATCH = 32
ROUNDINGS = 16  # epsilons of a half precision that an output may be off: a rounding for each of some layers


@dataclass(frozen=True)
class LayerReport:
    """One population.

    Attributes:
        name: of the layer, which is that of the source's layer with the same activations.
        max_abs_error: against the source's activations; None where the source has no such tensor (rails).
        spikes_per_neuron: mean over samples.
        premature_spikes: neurons above threshold before their window opened but not when it did, over all samples.
            Where more than 1,000 neurons of a layer and batch are close to it, a bound from above is counted.
        saturated_spikes: neurons above threshold when it did. Neither is counted where the source clips, too (ReLU6).
    """

    name: str
    max_abs_error: float | None
    spikes_per_neuron: float
    premature_spikes: int
    saturated_spikes: int


@dataclass(frozen=True)
class Report:
    """What `verify` found.

    Attributes:
        passed: errors of outputs within the tolerance, no premature and no saturated spike.
        max_abs_error: of the outputs.
        agreement: share of samples whose outputs have the same argmax; where they differ although the network passed,
            the source's two largest outputs are no further apart than twice the error.
        premature_spikes, saturated_spikes: sums over the layers.
        tolerance: relative to the largest output.
        dtype: the coarsest in which the two models compute.
        samples: how many were compared.
        layers: tuple of `LayerReport`.
    """

    passed: bool
    max_abs_error: float
    agreement: float
    premature_spikes: int
    saturated_spikes: int
    tolerance: float
    dtype: str
    samples: int
    layers: tuple[LayerReport, ...]

    def __str__(self):
        width = max([5, *(len(layer.name) for layer in self.layers)])
        lines = [
            f"{'passed' if self.passed else 'NOT EXACT'}: largest error of an output {self.max_abs_error:.3g} "
            f"(tolerance {self.tolerance:g} of the largest, {self.dtype}), "
            f"agreement {self.agreement:.4f} on {self.samples} samples",
            f"{'layer':<{width}} {'max abs error':>14} {'spikes/neuron':>14} {'premature':>10} {'saturated':>10}",
        ]
        for layer in self.layers:
            error = "-" if layer.max_abs_error is None else f"{layer.max_abs_error:.3g}"
            lines.append(
                f"{layer.name:<{width}} {error:>14} {layer.spikes_per_neuron:>14.4f} "
                f"{layer.premature_spikes:>10} {layer.saturated_spikes:>10}"
            )
        return "\n".join(lines)

    def plot(self, path: str | Path) -> Path:
        """Draw the error of each layer that the source has too, as a PNG; return `path`."""
        from ttfs_keras.plots.layer_errors import layer_errors  # Matplotlib takes a second that few runs need

        return layer_errors({row.name: row.max_abs_error for row in self.layers if row.max_abs_error is not None}, path)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the report as JSON text; write it to `path` if given."""
        text = json.dumps(asdict(self), indent=2)
        if path is not None:
            write_text(path, text + "\n")
        return text


def verify(snn: keras.Model, model: keras.Model, x: Any, tolerance: float | None = None) -> Report:
    """Compare a spiking network with the ReLU model it was mapped from.

    Args:
        snn: result of `convert`, fine-tuned or not.
        model: its source.
        x: inputs, see `ttfs_keras.network.inputs.Inputs`.
        tolerance: largest error of an output that passes, relative to the largest output; None for 1e-4, or 16 times
            the epsilon of the coarsest dtype in which a layer computes where that is more (0.016 in float16, 0.13 in
            bfloat16).

    Returns:
        `Report`; `str()` is a table, `.to_json(path)` a file.

    Raises:
        ValueError: x does not fit the model, is not finite or has no samples.

    Example:
        >>> relu = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).uniform(size=(20, 4))
        >>> report = tk.verify(tk.convert(relu, x), relu, x)
        >>> report.agreement, report.premature_spikes, [layer.name == relu.layers[0].name for layer in report.layers]
        (1.0, 0, [True])
    """
    return compare(
        snn, model, x, 1e-4 if tolerance is None else tolerance, premature=True, strict=tolerance is not None
    )


def compare(
    snn: keras.Model, model: keras.Model, x: Any, tolerance: float, premature: bool, strict: bool = False
) -> Report:
    """Return what `verify` does.

    Args:
        snn, model, x: as for `verify`.
        tolerance: raised to 16 epsilons of the coarsest dtype unless `strict`.
        premature: whether to look for premature spikes, which take longest to find.
        strict: whether the tolerance is the caller's.
    """
    source, populations = Graph(model), Populations(snn)
    dtype = _coarsest(source, populations.graph)
    tolerance = tolerance if strict else max(tolerance, ROUNDINGS * epsilon(dtype))
    outputs = {call.name: call.outputs[0] for call in source.calls}
    compared = {name: outputs[name] for name in populations.maps if name in outputs}
    calls = source.needed(list(compared.values()))
    tallies = {name: _Tally(premature) for name in populations.maps}
    errors, equal, largest = [], [], []
    samples = 0
    for arrays in Inputs(model, x, BATCH):
        samples += len(arrays[0])
        batch = [tf.constant(array) for array in arrays]
        reference = source.run(batch, calls)

        def count(population, reference=reference):
            return tallies[population.name].add(population, reference.get(compared.get(population.name)))

        populations.visit(batch, count)
        for received, expected in zip(evaluate(snn, batch), evaluate(model, batch), strict=True):
            received, expected = tf.cast(received, tf.float64), tf.cast(expected, tf.float64)
            errors.append(float(tf.reduce_max(tf.abs(received - expected))))
            largest.append(float(tf.reduce_max(tf.abs(expected))))
            equal.append(np.asarray(tf.argmax(received, -1) == tf.argmax(expected, -1)).ravel())
    layers = tuple(tally.report(name, name in compared) for name, tally in tallies.items())
    early, saturated = (sum(getattr(row, kind) for row in layers) for kind in ("premature_spikes", "saturated_spikes"))
    error = float(np.max(errors))  # NaN if one of them is
    return Report(
        passed=error <= tolerance * max(largest) and early == saturated == 0,
        max_abs_error=error,
        agreement=float(np.concatenate(equal).mean()),
        premature_spikes=early,
        saturated_spikes=saturated,
        tolerance=tolerance,
        dtype=dtype,
        samples=samples,
        layers=layers,
    )


def _coarsest(*graphs):
    """Return the name of the coarsest dtype in which layers compute."""
    policies = (getattr(call.operation, "compute_dtype", None) for graph in graphs for call in graph.calls)
    return max({dtype for dtype in policies if dtype is not None and "float" in dtype}, key=epsilon, default="float32")


class _Tally:
    """Counts of one population over batches."""

    def __init__(self, premature):
        self.looks_for_premature = premature
        self.error = 0.0
        self.spikes = self.neurons = self.premature = self.saturated = 0

    def add(self, population, reference):
        """Count a batch, compare it with the source's activations if there are any, and return the lead times."""
        neuron, potential = population.neuron, population.potential
        lead = neuron(potential)
        if reference is not None:
            self.error = max(
                self.error,
                float(tf.reduce_max(tf.abs(tf.cast(lead, tf.float64) * neuron.unit - tf.cast(reference, tf.float64)))),
            )
        self.spikes += int(tf.math.count_nonzero(neuron.spike_counts(lead)))
        self.neurons += int(tf.size(lead))
        # Clipped neurons are held until their window opens; that they would fire early is what the clip means.
        if not isinstance(neuron.window_rule, Clip):
            width = float(neuron.window.numpy())
            saturated = int(tf.math.count_nonzero(potential > rounded_up(width, potential.dtype)))
            if self.looks_for_premature:
                self.premature += len(above_width(population, width)) - saturated
            self.saturated += saturated
        return lead

    def report(self, name, compared):
        """Return the population's `LayerReport`."""
        error = self.error if compared else None
        return LayerReport(name, error, self.spikes / self.neurons, self.premature, self.saturated)
