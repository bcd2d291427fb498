import keras
import numpy as np
import pytest

import ttfs_keras as tk
from ttfs_keras.inference.comparison import comparison
from ttfs_keras.ops import library as loader

pytestmark = pytest.mark.skipif(loader.find() is None, reason="the op library was not built")


@pytest.mark.parametrize("sourced", [True, False])
def test_a_comparison_holds_the_plan_and_the_times_of_all_networks(sourced):
    relu = keras.Sequential([keras.Input((20,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(3)])
    x = np.random.default_rng(0).uniform(size=(2, 20))
    snn = tk.convert(relu, x)
    found = comparison(snn, relu if sourced else None, x)
    assert found["samples"] == 2 and found["event_driven_ms"] > 0 and found["dense_ms"] > 0
    assert (found["source_ms"] is None, found["times_faster"] is None) == (not sourced, not sourced)
    names = [layer.name for layer in tk.event_driven(snn, x, plan={}).plan.layers]
    assert [layer["name"] for layer in found["layers"]] == names
    assert all(layer["event_driven_ms"] > 0 and layer["dense_ms"] > 0 for layer in found["layers"])
