import keras
import numpy as np
import pytest

import ttfs_keras as tk
from tests.layer_harness import lead_times, run_layer_test
from tests.tolerances import FLOAT64

VARIANTS = {
    "default": {},
    "quantile": {"window": 3.0, "window_rule": tk.TrackQuantile(0.9)},
    "perturbed": {"perturbation": [tk.SpikeTimeJitter(0.05, seed=1), tk.TimeQuantization(3)]},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_is_a_well_behaved_layer(variant, tmp_path):
    potentials = lead_times((6, 3, 4)) - 0.4
    run_layer_test(lambda: tk.TTFSNeuron(dtype="float64", **VARIANTS[variant]), potentials, tmp_path)


def test_fires_on_the_sum_of_its_branches():
    inputs = keras.Input((4, 4, 2), dtype="float64")
    branches = [keras.layers.Conv2D(3, size, padding="same", dtype="float64")(inputs) for size in (1, 3)]
    potential = keras.layers.Add(dtype="float64")(branches)
    lead = tk.TTFSNeuron(window=0.5, dtype="float64")(potential)
    potential, lead = keras.Model(inputs, [potential, lead])(lead_times((5, 4, 4, 2)))
    np.testing.assert_allclose(lead, np.clip(potential, 0, 0.5), rtol=0, atol=FLOAT64)


def test_perturbations_act_in_their_order():
    lead = np.array([[0.26, 0.74]])
    coarse, fine = tk.TimeQuantization(1), tk.TimeQuantization(2)
    np.testing.assert_array_equal(tk.TTFSNeuron(perturbation=[fine, coarse], dtype="float64")(lead), [[0.0, 1.0]])
    np.testing.assert_array_equal(tk.TTFSNeuron(perturbation=[coarse, fine], dtype="float64")(lead), [[0.5, 0.5]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "Expected window > 0"),
        ({"window": float("nan")}, "Expected window > 0"),
        ({"window_rule": 6.0}, "window_rule: expected"),
        ({"perturbation": 0.1}, "perturbation: expected"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tk.TTFSNeuron(**options)
