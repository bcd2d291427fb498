"""Populations whose synapses are several layers: branches that meet, average pooling."""

import numpy as np
import tensorflow as tf

from ttfs_keras.ttfs.schedule import Window, float64
from ttfs_keras.ttfs.simulation.physics import Physics

SYNAPSES = 2**27  # of a population whose synapses are several layers, held as one matrix


def delayed(arrays, carried, source, end):
    """Return the spike times of a source, delayed so that its window ends at `end`."""
    return arrays[source] + (end - carried[source].window.end)


def composite(synapses, arrays, carried, end):
    """Return the spikes that reach a population through several layers, their window, and its physics as one matrix."""
    shapes = [arrays[source].shape[1:] for source in synapses.sources]
    sizes = [int(np.prod(shape)) for shape in shapes]
    dtype = synapses.sources[0].dtype
    resting = float64(synapses([tf.zeros((1, *shape), dtype) for shape in shapes])).ravel()
    if sum(sizes) * resting.size > SYNAPSES:
        raise ValueError(
            f"Expected at most {SYNAPSES} synapses in a population whose synapses are several layers. "
            f"Received: {sum(sizes)} x {resting.size}"
        )
    rows = []
    for number, (size, shape) in enumerate(zip(sizes, shapes, strict=True)):
        for unit in np.array_split(np.eye(size), max(1, size // 256)):
            leads = [tf.zeros((len(unit), *other), dtype) for other in shapes]
            leads[number] = tf.constant(unit.reshape(-1, *shape), dtype)
            rows.append(float64(synapses(leads, constant=False)).reshape(len(unit), -1))
    laws = Physics(np.concatenate(rows), resting, 0.0, np.ones(resting.size))
    spikes = [delayed(arrays, carried, source, end) for source in synapses.sources]
    widths = [window.end - window.start for window in (carried[source].window for source in synapses.sources)]
    flat = np.concatenate([array.reshape(len(array), -1) for array in spikes], axis=1)
    return flat, Window(end - max(widths), end), laws
