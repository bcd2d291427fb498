"""Random layers of multi-spike neurons, for every implementation of them."""

from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

DIFFERENTIABLE = ("times", "kernel", "threshold", "delta_threshold", "tau_s")


@dataclass(frozen=True)
class Problem:
    """The arguments of `spikes`, in float64."""

    times: np.ndarray  # (batch, height, width, channels, slots)
    kernel: np.ndarray  # (kernel_height, kernel_width, channels, units)
    threshold: float
    delta_threshold: float
    tau_s: float
    simulation_time: float
    max_spikes: int

    def tensors(self, dtype="float64"):
        """Return the arguments that are tensors, by name and in order."""
        names = (*DIFFERENTIABLE, "simulation_time")
        return {name: tf.constant(getattr(self, name), dtype) for name in names}

    def moved(self, name, index, step):
        """Return the problem with one number changed, `index` that of the flattened argument."""
        value = np.array(getattr(self, name))
        value.flat[index] += step
        return replace(self, **{name: value if value.ndim else float(value)})


def problem(
    seed, batch=3, image=(1, 1), channels=6, slots=3, kernel=(1, 1), units=5, max_spikes=6, gain=0.6, silent=0.3, grid=0
):
    """Return a layer that mixes silent neurons, single spikes and, at a gain above 2, full trains.

    Args:
        image, kernel: height and width.
        gain: factor of the weights; at 1, their standard deviation alone reaches the threshold.
        silent: fraction of slots without a spike.
        grid: number of moments at which inputs come, so that many come together; 0: any time.
    """
    random = np.random.default_rng(seed)
    tau_s, threshold = random.uniform(0.05, 0.2), random.uniform(0.5, 2)
    simulation_time = 8 * tau_s
    shape = (batch, *image, channels, slots)
    times = random.integers(0, grid, shape) / grid if grid else random.random(shape)
    times = np.where(random.random(shape) < silent, np.inf, 0.9 * simulation_time * times)
    # One input of weight w raises u to w tau_s / 2 at most.
    weights = gain * 2 * threshold / tau_s * random.normal(0.3, 1.0, (*kernel, channels, units))
    return Problem(times, weights, threshold, threshold * random.uniform(0.7, 1.5), tau_s, simulation_time, max_spikes)


def convolution(seed, **changes):
    """Return a small convolution; `changes` as the arguments of `problem`."""
    sizes = {"batch": 2, "image": (4, 3), "channels": 2, "slots": 2, "kernel": (3, 2), "units": 2}
    return problem(seed, **{**sizes, **changes})


CASES = {
    "dense": problem(1),
    "single spike": problem(0, max_spikes=1),
    "full trains": problem(2, max_spikes=4, gain=4.0),
    "ties": problem(3, grid=7),
    "convolution": convolution(3),
    "convolution, full trains": convolution(5, max_spikes=3, gain=4.0),
    "1 x 1 kernel on an image": convolution(6, kernel=(1, 1)),
    "tall image, single spike": convolution(7, image=(5, 2), kernel=(2, 2), max_spikes=1),
}


def long_simulation():
    """Return a layer simulated for 95 synaptic time constants, exp(t/tau_s) of which float32 cannot hold."""
    random = np.random.default_rng(42)
    times = random.uniform(0, 1, (2, 1, 1, 20, 4))
    weights = 110 * random.normal(0.5, 1.0, (1, 1, 20, 8))
    return Problem(times, weights, threshold=0.7, delta_threshold=0.7, tau_s=0.0105, simulation_time=1.0, max_spikes=30)
