"""Populations whose synapses are several layers: branches that meet, average pooling."""

import itertools
import math

import numpy as np
import tensorflow as tf

from ttfs_keras.ttfs.schedule import Window, float64
from ttfs_keras.ttfs.simulation.wiring import Wiring

SYNAPSES = 2**27  # of a population, held as one array
_POTENTIALS = 2**22  # at a time, while the weights are read off the layers


def delayed(arrays, carried, source, end):
    """Return the spike times of a source, delayed so that its window ends at `end`."""
    return arrays[source] + (end - carried[source].window.end)


def arriving(synapses, arrays, carried, end):
    """Return the spikes that reach a population through several layers, `(batch, inputs)`, and their window."""
    spikes = [delayed(arrays, carried, source, end) for source in synapses.sources]
    widths = [window.end - window.start for window in (carried[source].window for source in synapses.sources)]
    flat = np.concatenate([array.reshape(len(array), -1) for array in spikes], axis=1)
    return flat, Window(end - max(widths), end)


def composite(synapses, shapes):
    """Return the `Wiring` of a population whose synapses are several layers, and b `(1, ..., neurons)`.

    The product of the layers is read off them: inputs of which no neuron sees two are told apart by the neurons that
    see them, so that one evaluation gives the weights of all. What a neuron sees is found along each axis of a source,
    from the same layers with all weights 1.

    Args:
        synapses: `SynapticMap`.
        shapes: list of the shapes of its sources, without the batch.

    Raises:
        ValueError: there are too many synapses to hold.
    """
    dtype = synapses.sources[0].dtype
    resting = float64(synapses([tf.zeros((1, *shape), dtype) for shape in shapes]))

    def potentials(number, groups, **how):
        """Yield the numbers of some groups of a source's inputs, and the potentials that spikes of them cause."""
        count, size = math.prod(map(len, groups)), max(resting.size, math.prod(shapes[number]))
        for part in np.array_split(np.arange(count), -(-count * size // _POTENTIALS)):
            leads = [tf.zeros((len(part), *shape), dtype) for shape in shapes]
            leads[number] = tf.cast(_members(groups, part), dtype)
            yield part, float64(synapses(leads, constant=False, **how)).reshape(len(part), -1)

    _limit(resting.size * max(map(sum, shapes)), synapses)
    lone = [
        [
            np.concatenate([found > 0 for _, found in potentials(number, _slabs(shape, axis), weights=tf.ones_like)]).T
            for axis in range(len(shape))
        ]
        for number, shape in enumerate(shapes)
    ]
    neurons = resting.shape[-1]
    shared = [[seen.reshape(-1, neurons, seen.shape[1]).any(axis=1) for seen in axes] for axes in lone]
    lone_groups, groups = ([[_groups(seen) for seen in axes] for axes in each] for each in (lone, shared))
    # Neurons at one position share their inputs, unless each sees little of them, such as a channel of its own.
    if _count(groups) > 2 * _count(lone_groups):
        neurons, shared, groups = 1, lone, lone_groups
    _limit(_count(groups) * resting.size, synapses)
    places = resting.size // neurons
    weights, taps = np.empty((places, _count(groups), neurons)), np.empty((places, 0), int)
    inputs = sum(map(math.prod, shapes))
    for number, shape in enumerate(shapes):
        for part, found in potentials(number, groups[number]):
            weights[:, taps.shape[1] + part] = found.reshape(len(part), places, neurons).swapaxes(0, 1)
        taken = _taps(shared[number], groups[number], shape)
        before = sum(map(math.prod, shapes[:number]))
        taps = np.concatenate([taps, np.where(taken < 0, inputs, taken + before)], axis=1)
    return Wiring(taps, weights, np.arange(places)), resting


def _limit(count, synapses):
    if count > SYNAPSES:
        name = synapses.target.shape if synapses.call is None else synapses.call.name
        raise ValueError(
            f"{name}: expected synapses, made of several layers, in tables of at most {SYNAPSES} entries. "
            f"Received: {count}"
        )


def _count(groups):
    return sum(math.prod(map(len, axes)) for axes in groups)


def _slabs(shape, axis):
    """Return groups, see `_groups`, of the inputs at each place along one axis."""
    return [np.eye(size) if number == axis else np.ones((1, size)) for number, size in enumerate(shape)]


def _members(groups, numbers):
    """Return the inputs in some groups, 0 and 1, `(len(numbers), *shape)`: a group is one along each axis."""
    found = np.ones(len(numbers))
    for axis, number in zip(groups, np.unravel_index(numbers, [len(axis) for axis in groups]), strict=True):
        found = found[..., None] * axis[number].reshape(len(numbers), *(1,) * (found.ndim - 1), -1)
    return found


def _groups(seen):
    """Return groups of the places along an axis, `(groups, places)`, such that nobody sees two places of one.

    Args:
        seen: `(who, places)`.
    """
    together = seen.T.astype(np.float32) @ seen > 0
    group = np.zeros(len(together), int)
    for place, others in enumerate(together):
        taken = set(group[:place][others[:place]])
        group[place] = next(number for number in itertools.count() if number not in taken)
    return group == np.arange(group.max() + 1)[:, None]


def _taps(seen, groups, shape):
    """Return the input of each group that each position sees, `(positions, groups)`, or -1."""
    taps = np.zeros((len(seen[0]), 1), int)
    for sees, axis, size in zip(seen, groups, shape, strict=True):
        place = np.full((len(sees), len(axis)), -1)
        who, where = np.nonzero(sees)
        place[who, axis[:, where].argmax(axis=0)] = where
        lost = (taps[:, :, None] < 0) | (place[:, None] < 0)
        taps = np.where(lost, -1, taps[:, :, None] * size + place[:, None]).reshape(len(sees), -1)
    return taps
