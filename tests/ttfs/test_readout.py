import keras
import numpy as np
import pytest

import ttfs_keras as tk
from tests.layer_harness import lead_times, randomize, run_layer_test
from tests.tolerances import FLOAT64

VARIANTS = {
    "default": {},
    "alpha1": {"parameterization": "alpha1", "kernel_initializer": tk.SmartAlpha1(), "use_bias": False},
    "perturbed": {"perturbation": [tk.WeightQuantization(4), tk.SpikeTimeJitter(0.05, seed=1), tk.TimeQuantization(3)]},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_is_a_well_behaved_layer(variant, tmp_path):
    run_layer_test(lambda: tk.TTFSReadout(4, dtype="float64", **VARIANTS[variant]), lead_times((6, 5)), tmp_path)


@pytest.mark.parametrize("shape", [(5,), (3, 5)])
def test_potentials_are_the_logits_of_the_dense_layer(shape):
    layer = tk.TTFSReadout(4, dtype="float64")
    dense = keras.layers.Dense(4, dtype="float64")
    for item in (layer, dense):
        item.build((None, *shape))
    randomize(layer)
    dense.set_weights(layer.get_weights())
    inputs = lead_times((6, *shape)) * 3
    assert (dense(inputs).numpy() < 0).any()
    np.testing.assert_allclose(layer(inputs), dense(inputs), rtol=0, atol=FLOAT64)


def test_weight_bits_reach_the_readout_in_training_and_in_evaluation():
    layer = tk.TTFSReadout(4, perturbation=tk.WeightQuantization(2), dtype="float64")
    layer.build((None, 5))
    randomize(layer)
    outputs = [layer(np.eye(5), training=training).numpy() for training in (False, True)]
    np.testing.assert_array_equal(*outputs)
    assert len(np.unique(outputs[0] - layer.physical_weights((None, 5))[1])) <= 4


def test_spike_perturbations_leave_the_potentials_alone():
    plain = tk.TTFSReadout(4, dtype="float64")
    jittered = tk.TTFSReadout(4, perturbation=[tk.SpikeTimeJitter(1.0), tk.TimeQuantization(1)], dtype="float64")
    inputs = lead_times((6, 5))
    for layer in (plain, jittered):
        layer.build((None, 5))
        randomize(layer)
    np.testing.assert_array_equal(jittered(inputs), plain(inputs))


@pytest.mark.parametrize("arguments", [(3, "softmax"), (3, "relu")])
def test_an_activation_is_refused(arguments):
    with pytest.raises(ValueError, match="TTFSReadout takes no activation"):
        tk.TTFSReadout(*arguments)
