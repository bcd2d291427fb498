import json

import keras
import numpy as np
import pytest

import ttfs_keras as tk
from ttfs_keras.models import relu_model


@pytest.fixture(scope="module")
def networks():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).uniform(size=(40, 4, 4, 1)).astype("float32")
    relu = relu_model("FC2", (4, 4, 1), 3, units=8, depth=3)
    return relu, tk.convert(relu, x), x


def test_counts_match_numpy(networks):
    relu, spiking, x = networks
    y = relu.predict(x, verbose=0).argmax(-1)
    y[:10] = (y[:10] + 1) % 3
    card = tk.metric_card(spiking, x, y, source=relu, seed=7, batch_size=16)
    assert card["accuracy"] == 0.75
    assert card["agreement"] == 1.0
    assert card["max_abs_error"] < 1e-5
    spikes = {name: np.isfinite(t) for name, t in tk.spike_times(spiking, x).items()}
    assert set(card["layers"]) == set(spikes) == {"encoder", "dense_1", "dense_2"}
    for name, row in card["layers"].items():
        assert row["neurons"] == spikes[name][0].size
        assert row["spikes_per_neuron"] == pytest.approx(spikes[name].mean())
        assert row["silent_share"] == pytest.approx((~spikes[name].any(axis=0)).mean())
    hidden = np.concatenate([spikes["dense_1"], spikes["dense_2"]], axis=1)
    assert card["spikes_per_neuron"] == pytest.approx(hidden.mean())
    assert card["latency"] == pytest.approx(1 + sum(float(spiking.get_layer(n).window) for n in ("dense_1", "dense_2")))
    assert card["seed"] == 7 and card["samples"] == 40 and card["seconds"] > 0


def test_a_relu_model_has_no_spikes(networks):
    relu, _, x = networks
    card = tk.metric_card(relu, x, np.zeros(40, int))
    assert card["spikes_per_neuron"] is None and card["latency"] is None and card["agreement"] is None


def test_inputs_outside_the_range_are_counted(networks):
    _, spiking, x = networks
    x = x.copy()
    x[0, :2, 0, 0] = -1, 2
    assert tk.metric_card(spiking, x, np.zeros(40, int))["inputs_outside_range"] == 2


def test_the_card_is_json_and_a_table(networks):
    relu, spiking, x = networks
    card = tk.metric_card(spiking, x, np.zeros(40, int), source=relu)
    assert json.loads(json.dumps(card)) == card
    assert "dense_2" in str(card) and f"keras {keras.__version__}" in str(card)


@pytest.mark.parametrize("labels", [0, 39])
def test_labels_must_match(networks, labels):
    with pytest.raises(ValueError, match=f"Received: {labels} and 40"):
        tk.metric_card(networks[1], networks[2], np.zeros(labels, int))
