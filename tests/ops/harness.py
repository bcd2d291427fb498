"""Runs of the op, or of another implementation of it, on a `Problem`."""

import numpy as np
import tensorflow as tf

from tests.bats import oracle
from tests.bats.problems import DIFFERENTIABLE, Problem
from tests.tolerances import GRADIENT

PEAK_ARGUMENTS = ("times", "kernel", "tau_s", "simulation_time")


def one_neuron(times, weights, **changes):
    """Return a neuron with an input for each time and weight."""
    scalars = {"threshold": 1.0, "delta_threshold": 1.0, "tau_s": 1.0, "simulation_time": 10.0, "max_spikes": 4}
    times, kernel = np.array(times, float).reshape(1, 1, 1, -1, 1), np.array(weights, float).reshape(1, 1, -1, 1)
    return Problem(times, kernel, **{**scalars, **changes})


def run(ops, problem, dtype="float64"):
    return [x.numpy() for x in ops.spikes(**problem.tensors(dtype), max_spikes=problem.max_spikes)]


def run_peaks(ops, problem, dtype="float64"):
    tensors = problem.tensors(dtype)
    return [x.numpy() for x in ops.peaks(*(tensors[name] for name in PEAK_ARGUMENTS))]


def gradients(ops, problem, upstream, min_slope=0.0, dtype="float64"):
    """Return the gradients of sum(upstream * spike times), by argument."""
    tensors = problem.tensors(dtype)
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        times, _, _ = ops.spikes(**tensors, max_spikes=problem.max_spikes, min_slope=min_slope)
    found = tape.gradient(times, {name: tensors[name] for name in DIFFERENTIABLE}, tf.constant(upstream, dtype))
    return {name: tf.convert_to_tensor(gradient).numpy() for name, gradient in found.items()}


def upstream(problem):
    return np.random.default_rng(8).normal(size=(*oracle.output_shape(problem), problem.max_spikes))


def assert_gradient(found, expected):
    atol = GRADIENT * abs(expected).max(initial=0)
    np.testing.assert_allclose(found, expected, rtol=GRADIENT, atol=atol)
