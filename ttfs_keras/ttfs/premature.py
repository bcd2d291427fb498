"""Potentials that overshoot before their window opens.

With s = t_min - t the potential of a neuron is, in lead times x_j of its inputs,

    z(s) = sum_j w_ij (x_j - s)_+ + b_i,  s >= 0

and it fires too early iff max_{s > 0} z(s) > X, the width of its window. Three passes, from cheap to exact:

    1. z(s) <= b + sum_j max(w_ij, 0) x_j                             settles most neurons
    2. z(s) <= max(z(s_1), z(s_2)) + sum_j max(-w_ij, 0) g(x_j)  in [s_1, s_2], on a grid:  a hinge (x_j - s)_+ lies
       below its chord by at most g(x) = (x - s_1)_+ (s_2 - x)_+/(s_2 - s_1)
    3. the largest z(s) at the breakpoints s = x_j                    from the neuron's own row of weights

Source: condition (b) of premature spikes follows from the equations of Stanojevic et al. (2024); the passes are this
package's.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from ttfs_keras.arguments import epsilon
from ttfs_keras.ttfs.synaptic_map import Population, Populations

# Grids of pass 2 as shares of the largest lead time, finer where most lead times are; the second for what is left.
GRIDS = (0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1), tuple(np.linspace(0, 1, 25) ** 2)
TOGETHER = 2**22  # lead times or potentials that pass 2 evaluates in one go; small batches cost as much as large ones
EXACT = 1000  # neurons of a layer and batch that pass 3 scans; of more, the bound of pass 2 is taken


def overshoots(populations: Populations, inputs: list, widths: dict[str, float]) -> dict[str, float]:
    """Return `{name: largest potential}`, at the opening of the window or before it, of layers above their width.

    Args:
        populations: of the spiking model, evaluated with its own windows.
        inputs: list of batches, one for each input.
        widths: `{name: width}`, in window time, of the layers to look at.
    """
    found = {}

    def fire(population):
        if population.name in widths:
            above = above_width(population, widths[population.name])
            if len(above):
                # With room: a neuron whose threshold is 0 or less would fire at once.
                found[population.name] = rounded_up(float(above.max()), population.potential.dtype)

    populations.visit(inputs, fire)
    return found


def rounded_up(width: float, dtype: Any) -> float:
    """Return a width with room for the rounding of a sum of the given type."""
    return width * (1 + 64 * epsilon(dtype.as_numpy_dtype))


def above_width(population: Population, width: float) -> np.ndarray:
    """Return the largest potential max_{s >= 0} z(s) of each neuron and sample for which it exceeds the width.

    Args:
        population: of a batch.
        width: of the window.
    """
    potential = population.potential
    resting = population.resting()
    limit = rounded_up(width, potential.dtype)
    absolute = population.mapped("leads", tf.identity, tf.abs)
    lower = np.asarray(potential)
    upper = np.asarray(resting + (potential - resting + absolute) / 2)
    for grid in GRIDS:
        if not ((upper > limit) & (upper > lower)).any():
            break
        on_grid = _on_grid(population, resting, grid)
        lower = np.maximum(lower, on_grid[0])
        upper = np.maximum(np.minimum(upper, on_grid[1]), lower)
    places = np.argwhere((upper > limit) & (upper > lower))
    if len(places) <= EXACT:
        size = max(sum(int(tf.size(lead[0])) for lead in population.leads), potential[0].shape.num_elements())
        count = max(1, TOGETHER // size)
        upper = upper.copy()
        for at in range(0, len(places), count):
            part = places[at : at + count]
            upper[tuple(part.T)] = _scan(population, resting, part)
    return upper[upper > limit]


def _on_grid(population, resting, grid):
    """Return lower and upper bounds of max_{s >= 0} z(s), `(batch, ..., neurons)` each."""
    potential = population.potential
    largest = max(float(tf.reduce_max(lead)) for lead in population.leads)
    # Rounded up to a power of the root of 2, so that populations that share synapses share the grid, too.
    grid = np.multiply(grid, 2 ** (np.ceil(2 * np.log2(largest)) / 2) if largest > 0 else 0.0)
    size = max(sum(int(tf.size(lead)) for lead in population.leads), int(tf.size(potential)))
    count = 2 ** int(np.log2(max(1, TOGETHER // size)))
    lower, upper, last = potential, potential, potential[None]
    for at in range(0, len(grid) - 1, count):
        starts, ends = tuple(grid[:-1][at : at + count]), tuple(grid[1:][at : at + count])
        shape = (len(ends), *potential.shape)

        def cut(lead, ends=ends):
            return tf.concat([tf.nn.relu(lead - tf.cast(s, lead.dtype)) for s in ends], 0)

        def hinges(lead, starts=starts, ends=ends):
            return tf.concat([_hinge_gap(lead, s, e) for s, e in zip(starts, ends, strict=True)], 0)

        z = resting + tf.reshape(population.mapped(("cut", ends), cut), shape)
        linear, absolute = (
            tf.reshape(population.mapped(("hinges", starts, ends), hinges, kind), shape) for kind in (None, tf.abs)
        )
        chords = tf.maximum(tf.concat([last, z[:-1]], 0), z)
        lower = tf.maximum(lower, tf.reduce_max(z, 0))
        upper = tf.maximum(upper, tf.reduce_max(chords + (absolute - linear) / 2, 0))
        last = z[-1:]
    return np.asarray(lower), np.asarray(upper)


def _hinge_gap(lead, start, end):
    start, end = (tf.cast(s, lead.dtype) for s in (start, end))
    if end <= start:
        return tf.zeros_like(lead)
    return tf.nn.relu(lead - start) * tf.nn.relu(end - lead) / (end - start)


def _scan(population, resting, places):
    """Return max_{s >= 0} z(s) at each of the places `(sample, ..., neuron)`, from the neurons' own rows of weights."""
    own = [tf.gather(lead, places[:, 0]) for lead in population.leads]
    with tf.GradientTape() as tape:
        tape.watch(own)
        potential = population.synapses(own, constant=False)
        chosen = tf.gather_nd(potential, np.column_stack([np.arange(len(places)), places[:, 1:]]))
    weights = tape.gradient(chosen, own, unconnected_gradients="zero")
    rows = [
        np.concatenate([np.asarray(part, np.float64).reshape(len(places), -1) for part in parts], 1)
        for parts in (own, weights)
    ]
    largest = [_largest(x, w) for x, w in zip(*rows, strict=True)]
    return largest + np.asarray(resting)[(0, *places[:, 1:].T)]


def _largest(x, w):
    """Return max_{s >= 0} sum_j w_j (x_j - s)_+."""
    x, w = x[(w != 0) & (x > 0)], w[(w != 0) & (x > 0)]
    order = np.argsort(-x)
    # z falls from one breakpoint to the next, earlier one by the weights that have arrived until then.
    s, arrived = np.append(x[order], 0.0), np.cumsum(w[order])
    return np.cumsum(arrived * -np.diff(s)).max(initial=0.0)


def bounds(populations: Populations, clips: dict[str, float | None]) -> dict[str, float]:
    """Return `{name: width}` that no input within the encoder's range can exceed, from positive weights alone.

        X_i = b_i + sum_j max(w_ij, 0) X_j

    Args:
        populations: of the spiking model.
        clips: `{name: width or None}` of layers whose source clips.
    """
    widths = {}

    def fire(population):
        resting = population.resting()
        absolute = population.mapped("leads", tf.identity, tf.abs)
        bound = tf.nn.relu(resting + (population.potential - resting + absolute) / 2)
        width = widths[population.name] = clips[population.name] or float(tf.reduce_max(bound))
        return tf.minimum(bound, tf.constant(width, bound.dtype))  # `cast` goes by way of float32

    populations.visit(None, fire)
    return widths
