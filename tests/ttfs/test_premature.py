import keras
import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import conv, dense, images, sequential
from ttfs_keras.ttfs.premature import above_width
from ttfs_keras.ttfs.synaptic_map import Populations


def highest(layer, leads):
    """Return max_{s >= 0} z(s) of every neuron and sample: z at all breakpoints, from explicit weights."""
    start = np.zeros((1, *leads.shape[1:]))
    units = np.eye(start.size).reshape(-1, *start.shape[1:])
    bias = np.asarray(layer.potential(start))
    weights = np.asarray(layer.potential(units)) - bias
    found = []
    for lead in leads:
        z = [np.tensordot(np.maximum(lead - s, 0).ravel(), weights, 1) + bias[0] for s in (*np.unique(lead), 0.0)]
        found.append(np.max(z, 0))
    return np.array(found)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("width", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_every_overshoot_is_found_with_its_height(kind, width, seed):
    if kind == "dense":
        model = sequential((12,), dense(8, activation="relu"), dense(), seed=seed)
    else:
        model = sequential((3, 4, 2), conv(3, kernel_size=2, padding="same"), seed=seed)
    x = images(model, samples=4, seed=seed)
    snn = tk.convert(model, x)
    populations, found = Populations(snn), {}

    def fire(population):
        expected = highest(population.layer, np.asarray(population.leads[0]))
        found[population.name] = above_width(population, width), expected

    populations.visit([keras.ops.convert_to_tensor(x)], fire)
    ((heights, expected),) = found.values()
    np.testing.assert_allclose(np.sort(np.ravel(heights)), np.sort(expected[expected > width]), rtol=1e-12)
    assert width > 1 or len(heights)


@pytest.mark.parametrize("rank", [1, 2])
def test_smallest_of_a_pool_is_followed_exactly(rank):
    """A negative scale behind a max pool: the latest spike of the pool counts."""
    kind, pool = getattr(layers, f"Conv{rank}D"), getattr(layers, f"MaxPooling{rank}D")
    stack = (kind, {"filters": 3, "kernel_size": 1, "activation": "relu"}), (layers.BatchNormalization, {})
    model = sequential((4,) * rank + (2,), *stack, (pool, {"pool_size": 2}), dense(9, activation="relu"))
    model.layers[1].gamma.assign([-1.0, -2.0, 1.0])
    x = images(model, samples=100)
    snn = tk.convert(model, x, margin=0)
    report = tk.verify(snn, model, x, tolerance=1e-10)
    assert report.passed, report
