from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tests.bats import oracle
from tests.bats.problems import CASES
from tests.bats.tolerances import DIFFERENCE_STEP
from tests.ops.harness import PEAK_ARGUMENTS, assert_gradient, run, run_peaks
from tests.tolerances import FLOAT64


def test_peaks_are_the_oracles(ops, problem):
    for found, expected in zip(run_peaks(ops, problem), oracle.peaks(problem), strict=True):
        np.testing.assert_allclose(found, expected, rtol=FLOAT64, atol=FLOAT64)
    potentials, _ = run_peaks(ops, problem, "float32")
    np.testing.assert_allclose(potentials, oracle.peaks(problem)[0], rtol=1e-4, atol=1e-4)


def test_a_neuron_fires_if_its_peak_reaches_the_threshold(ops, problem):
    peaks, _ = run_peaks(ops, problem)
    np.testing.assert_array_equal(peaks >= problem.threshold, run(ops, problem)[1] > 0)


@pytest.mark.parametrize("name", ["times", "kernel", "tau_s"])
def test_peak_gradients_are_central_differences(ops, problem, name):
    weights = np.random.default_rng(9).normal(size=oracle.output_shape(problem))
    # Small enough that no kink, where inputs change their order or another peak becomes the largest, comes between.
    expected = oracle.differences(lambda p: (weights * oracle.peaks(p)[0]).sum(), problem, name, DIFFERENCE_STEP / 10)
    tensors = [problem.tensors()[key] for key in PEAK_ARGUMENTS]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        peaks, _ = ops.peaks(*tensors)
    found = tape.gradient(peaks, tensors[PEAK_ARGUMENTS.index(name)], weights)
    assert_gradient(tf.convert_to_tensor(found).numpy(), expected)


def test_peaks_without_input_pass_no_gradient(ops):
    problem = replace(CASES["dense"], times=np.full(CASES["dense"].times.shape, np.inf))
    tensors = [problem.tensors()[key] for key in PEAK_ARGUMENTS]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        peaks, _ = ops.peaks(*tensors)
    for gradient in tape.gradient(peaks, tensors[:2]):
        assert not tf.convert_to_tensor(gradient).numpy().any()
