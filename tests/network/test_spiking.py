"""One way to the spikes of all three families."""

import keras
import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from ttfs_keras import bats, stbp
from ttfs_keras.network.graph import Graph
from ttfs_keras.network.spiking import ends, read_out_time, spiking_calls

X = np.random.default_rng(0).uniform(0, 1, (7, 5)).astype("float32")


def ttfs():
    relu = keras.Sequential([keras.Input((5,)), layers.Dense(6, activation="relu", name="hidden"), layers.Dense(3)])
    return tk.convert(relu, X)


def trains():
    inputs = keras.Input((5,))
    x = bats.LatencyEncoder(name="encoder")(inputs)
    x = bats.BATSDense(6, threshold=0.02, max_spikes=3, name="hidden")(x)
    return keras.Model(inputs, bats.BATSDense(3, threshold=0.02, simulation_time=0.3, max_spikes=1, name="output")(x))


def steps():
    inputs = keras.Input((5,))
    x = stbp.FirstSpikeEncoder(4, name="encoder")(inputs)
    x = stbp.LIF(threshold=0.1, name="hidden")(layers.Dense(6)(x))
    return keras.Model(inputs, stbp.MeanOverTime()(layers.Dense(3)(x)))


FAMILIES = {"ttfs": (ttfs, "tau", None), "bats": (trains, "s", 0.3), "stbp": (steps, "steps", 4)}


@pytest.mark.parametrize("family", FAMILIES)
def test_spikes_are_what_the_layers_emit_whatever_the_batch(family):
    build, unit, end = FAMILIES[family]
    model = build()
    found = tk.spikes(model, X, batch_size=3)
    graph = Graph(model)
    tensors = graph.run([X])
    assert list(found) == [call.name for call in spiking_calls(graph)] and "hidden" in found
    for call in spiking_calls(graph):
        emitted = np.asarray(tensors[call.outputs[0]])
        if family == "ttfs":
            lead = np.where(np.isinf(found[call.name]), 0, ends(graph)[call.outputs[0]] - found[call.name])
            np.testing.assert_allclose(lead, emitted, atol=1e-6)
        else:
            np.testing.assert_array_equal(found[call.name], emitted)
        counts = np.asarray(call.operation.spike_counts(emitted))
        by_hand = emitted > 0 if family == "ttfs" else np.isfinite(emitted) if family == "bats" else emitted
        axis = {"ttfs": (), "bats": -1, "stbp": 1}[family]
        np.testing.assert_array_equal(counts, by_hand.sum(axis) if axis != () else by_hand)
    time, found_unit = read_out_time(graph)
    assert found_unit == unit and (end is None or time == end)


def test_ttfs_spikes_are_the_absolute_times_of_the_schedule():
    model = ttfs()
    for times, expected in zip(tk.spikes(model, X).values(), tk.spike_times(model, X).values(), strict=True):
        np.testing.assert_array_equal(times, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_within_a_model_has_the_same_spikes(family):
    model = FAMILIES[family][0]()
    inputs = keras.Input((5,))
    outer = keras.Model(inputs, keras.Model(model.inputs, model.outputs, name="inner")(inputs))
    for (name, spikes), (own, expected) in zip(tk.spikes(outer, X).items(), tk.spikes(model, X).items(), strict=True):
        assert name == f"inner_{own}"
        np.testing.assert_array_equal(spikes, expected)
    assert read_out_time(Graph(outer)) == read_out_time(Graph(model))


def test_the_output_of_single_spike_neurons_is_read_by_the_first_spike():
    model = trains()
    y = np.zeros(len(X), int)
    first = np.asarray(model(X))[..., 0]
    right = (first.argmin(-1) == y) & np.isfinite(first).any(-1)
    assert tk.metric_card(model, X, y)["accuracy"] == pytest.approx(right.mean())


def test_networks_without_spikes_have_none():
    model = keras.Sequential([keras.Input((5,)), layers.Dense(3)])
    assert read_out_time(Graph(model)) == (None, None)
    with pytest.raises(ValueError, match="spikes: expected a model with layers that spike"):
        tk.spikes(model, X)
