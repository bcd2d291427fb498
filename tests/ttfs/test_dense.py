import inspect

import keras
import numpy as np
import pytest

import ttfs_keras as tk
from tests.layer_harness import lead_times, run_layer_test

PERTURBED = [tk.WeightQuantization(4), tk.SpikeTimeJitter(0.05, seed=1), tk.TimeQuantization(3)]
VARIANTS = {
    "default": {},
    "no_bias": {"use_bias": False},
    "alpha1": {"parameterization": "alpha1", "kernel_initializer": tk.SmartAlpha1()},
    "fixed": {"window": 0.7, "window_rule": tk.FixedWindow()},
    "quantile": {"window_rule": tk.TrackQuantile(0.9, margin=0.1, momentum=0.5)},
    "perturbed": {"perturbation": PERTURBED},
    "weight_bits": {"perturbation": tk.WeightQuantization(4)},
    "time_bits": {"perturbation": tk.TimeQuantization(4)},
    "jitter": {"perturbation": tk.SpikeTimeJitter(0.1, seed=2)},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_is_a_well_behaved_layer(variant, tmp_path):
    run_layer_test(lambda: tk.TTFSDense(4, dtype="float64", **VARIANTS[variant]), lead_times((6, 5)), tmp_path)
