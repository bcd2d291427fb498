import json

import keras
import numpy as np
import pytest

import ttfs_keras as tk
from ttfs_keras import bats
from ttfs_keras.metrics.operations import synaptic_operations
from ttfs_keras.network.graph import Graph
from ttfs_keras.network.spiking import read_out_time, spiking_calls

SAMPLES, CLASSES = 30, 3


@pytest.fixture(scope="module")
def network():
    """A small convolutional network, its images and labels."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 1))
    x = bats.LatencyEncoder(name="encoder")(inputs)
    x = bats.BATSConv2D(2, 3, threshold=0.05, max_spikes=2, name="conv")(x)
    x = bats.FlattenSpikes(name="flat")(bats.SpikePooling2D(2, name="pool")(x))
    model = keras.Model(
        inputs, bats.BATSDense(CLASSES, threshold=0.05, max_spikes=4, simulation_time=0.3, name="output")(x)
    )
    random = np.random.default_rng(0)
    return model, random.uniform(-0.5, 1, (SAMPLES, 6, 6, 1)).astype("float32"), random.integers(0, CLASSES, SAMPLES)


def trains_of(network):
    """Return the trains of each layer, one layer after the other."""
    model, x, _ = network
    trains = {}
    for layer in model.layers[1:]:
        x = layer(x)
        trains[layer.name] = np.asarray(x)
    return trains


def test_counts_match_numpy(network):
    model, x, y = network
    card = tk.metric_card(model, x, y, seed=3, batch_size=16)
    trains = trains_of(network)
    counts = {name: np.isfinite(trains[name]).sum(-1) for name in ("encoder", "conv", "output")}
    assert list(card["layers"]) == ["encoder", "conv", "output"]
    for name, row in card["layers"].items():
        assert row["neurons"] == counts[name][0].size
        assert row["spikes_per_neuron"] == pytest.approx(counts[name].mean())
        assert row["silent_share"] == pytest.approx((counts[name].sum(0) == 0).mean())
    spikes = counts["conv"].sum() + counts["output"].sum()
    assert spikes > 0
    assert card["spikes_per_neuron"] == pytest.approx(spikes / SAMPLES / (4 * 4 * 2 + CLASSES))
    answers = counts["output"].argmax(-1)
    right = (answers == y) & counts["output"].any(axis=-1)
    assert 0 < right.mean() < 1 and card["accuracy"] == pytest.approx(right.mean())
    assert card["latency"] == 0.3 and card["latency_unit"] == "s"
    assert card["inputs_outside_range"] == np.sum(x < 0)
    assert card["agreement"] is None and card["max_abs_error"] is None
    assert card["seed"] == 3 and card["samples"] == SAMPLES


def test_other_read_outs(network):
    model, x, y = network
    output = trains_of(network)["output"]
    first = output[..., 0]
    metric = bats.metrics.FirstSpikeAccuracy()
    metric.update_state(1 - y[:5], output[:5])  # what was there before does not count
    card = tk.metric_card(model, x, y, accuracy=metric)
    right = (first.argmin(-1) == y) & np.isfinite(first).any(axis=-1)
    assert card["accuracy"] == pytest.approx(right.mean())


def test_models_in_a_model_are_measured(network):
    """As if their layers stood in the model itself."""
    x, y = network[1:]
    hidden, again, output = (
        bats.BATSDense(units, threshold=0.02, max_spikes=4, name=name)
        for units, name in ((7, "hidden"), (5, "again"), (CLASSES, "output"))
    )
    inputs = keras.Input((6, 6, 1))
    trains = bats.FlattenSpikes()(bats.LatencyEncoder(name="encoder")(inputs))
    start = keras.Input(trains.shape[1:])
    nested = keras.Model(inputs, output(keras.Model(start, again(hidden(start)), name="inner")(trains)))
    flat = keras.Model(inputs, output(again(hidden(trains))))
    found, expected = (tk.metric_card(model, x, y) for model in (nested, flat))
    assert list(found["layers"]) == ["encoder", "inner_hidden", "inner_again", "output"]
    assert list(found["layers"].values()) == list(expected["layers"].values())
    assert found["spikes_per_neuron"] == expected["spikes_per_neuron"] > 0
    assert found["accuracy"] == expected["accuracy"] and found["latency"] == expected["latency"]
    assert synaptic_operations(nested, x) == synaptic_operations(flat, x)
    for times, same in zip(tk.spikes(nested, x).values(), tk.spikes(flat, x).values(), strict=True):
        np.testing.assert_array_equal(times, same)


def test_layers_of_two_models_may_have_the_same_name(network):
    x, y = network[1:]
    inputs = keras.Input((6, 6, 1))
    trains = bats.FlattenSpikes()(bats.LatencyEncoder(name="encoder")(inputs))
    for name in ("a", "b"):
        start = keras.Input(trains.shape[1:])
        trains = keras.Model(start, bats.BATSDense(CLASSES, threshold=0.02, name="fc")(start), name=name)(trains)
    model = keras.Model(inputs, trains)
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    assert list(tk.metric_card(model, x, y)["layers"]) == ["encoder", "a_fc", "b_fc"]
    assert synaptic_operations(model, x) > 0
    assert [len(layer._inbound_nodes) for layer in model.layers] == nodes  # it is measured, not changed


def test_each_call_of_a_layer_is_a_row():
    inputs = keras.Input((6, 1))
    layer = bats.BATSDense(6, threshold=0.01, name="twice")
    trains = np.random.default_rng(0).uniform(0, 0.1, (4, 6, 1)).astype("float32")
    card = tk.metric_card(keras.Model(inputs, layer(layer(inputs))), trains, np.zeros(4, int))
    assert list(card["layers"]) == ["twice", "twice_call2"]


def test_the_card_is_json_and_a_table(network):
    card = tk.metric_card(*network)
    assert json.loads(json.dumps(card)) == card
    text = str(card)
    assert "latency_unit" in text and "output" in text and "conv" in text


def test_a_ttfs_networks_latency_is_in_units_of_tau(network):
    x = np.abs(network[1])
    relu = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(4, "relu")])
    relu.add(keras.layers.Dense(CLASSES))
    card = tk.metric_card(tk.convert(relu, x), x, network[2], source=relu)
    assert card["latency_unit"] == "tau" and card["latency"] > 1
    assert tk.metric_card(relu, x, network[2])["latency_unit"] is None


def test_trains_are_those_of_the_layers(network):
    model, x, _ = network
    found, expected = tk.spikes(model, x), trains_of(network)
    assert list(found) == ["encoder", "conv", "output"]
    for name, times in found.items():
        np.testing.assert_array_equal(times, expected[name])
    assert [call.operation.encodes for call in spiking_calls(Graph(model))] == [True, False, False]
    assert read_out_time(Graph(model)) == (0.3, "s")
