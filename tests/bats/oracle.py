"""One neuron at a time, from its differential equations: u and v are integrated from event to event, and crossings are
bisected. Float64, slow, and nothing in common with the package.
"""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Train:
    times: list
    slopes: list  # du/dt at the spikes
    overflow: bool  # it would have fired once more


def membrane(u, v, step, tau_s):
    """Return (u, v) a time `step` after (u, v): the solution of u' = -u/tau + v, v' = -v/tau_s with tau = 2 tau_s."""
    tau = 2 * tau_s
    slow, fast = math.exp(-step / tau), math.exp(-step / tau_s)
    return u * slow + v * tau * (slow - fast), v * fast


def turn(u, v, tau_s):
    """Return how long u rises from (u, v): until u' = v - u/tau is 0, which happens once or never."""
    tau = 2 * tau_s
    if not v > u / tau:
        return 0.0
    # u' is a difference of exponentials, -(u + v tau)/tau e^(-t/tau) + 2 v e^(-2t/tau).
    late, early = (u + v * tau) / tau, 2 * v
    return tau * math.log(early / late) if late > 0 and early > 0 else math.inf


def crossing(u, v, limit, threshold, tau_s):
    """Return the first time in [0, limit] at which u is at the threshold or above, None if there is none."""
    low, high = 0.0, min(turn(u, v, tau_s), limit)
    if not membrane(u, v, high, tau_s)[0] >= threshold:
        return None
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if membrane(u, v, middle, tau_s)[0] >= threshold else (middle, high)
    return high


def neuron(times, weights, threshold, delta_threshold, tau_s, simulation_time, max_spikes):
    """Return the Train of a neuron with these input spikes, one weight each."""
    events = sorted((t, w) for t, w in zip(times, weights, strict=True) if t < simulation_time)
    train = Train([], [], False)
    u = v = 0.0
    for position, (now, weight) in enumerate(events):
        v += weight
        until = events[position + 1][0] if position + 1 < len(events) else simulation_time
        while now < until and (step := crossing(u, v, until - now, threshold, tau_s)) is not None:
            if len(train.times) == max_spikes:
                return Train(train.times, train.slopes, True)
            u, v = membrane(u, v, step, tau_s)
            now += step
            train.times.append(now)
            train.slopes.append(v - u / (2 * tau_s))
            u -= delta_threshold
        u, v = membrane(u, v, until - now, tau_s)
    return train


def potential(time, times, weights, own, problem):
    """Return u at a time, from the input spikes and own spikes before it."""
    before = [(t, w) for t, w in zip(times, weights, strict=True) if t < time]
    driven = sum(membrane(0.0, w, time - t, problem.tau_s)[0] for t, w in before)
    return driven - sum(membrane(problem.delta_threshold, 0.0, time - t, problem.tau_s)[0] for t in own)


def peak(times, weights, tau_s, simulation_time):
    """Return the largest u of a neuron that cannot fire, from the end of its first interval on, and its time."""
    events = sorted((t, w) for t, w in zip(times, weights, strict=True) if t < simulation_time)
    best, when, u, v = -math.inf, math.inf, 0.0, 0.0
    for position, (now, weight) in enumerate(events):
        v += weight
        until = events[position + 1][0] if position + 1 < len(events) else simulation_time
        for step in (turn(u, v, tau_s), until - now):
            if 0 < step <= until - now and membrane(u, v, step, tau_s)[0] > best:
                best, when = membrane(u, v, step, tau_s)[0], now + step
        u, v = membrane(u, v, until - now, tau_s)
    return best, when


def neurons(problem):
    """Yield the index of each neuron of a layer, the times of its input spikes and their weights."""
    _, height, width, _, slots = problem.times.shape
    kernel_height, kernel_width, _, units = problem.kernel.shape
    for sample, image in enumerate(problem.times):
        for y in range(height - kernel_height + 1):
            for x in range(width - kernel_width + 1):
                field = image[y : y + kernel_height, x : x + kernel_width].ravel()
                for unit in range(units):
                    yield (sample, y, x, unit), field, np.repeat(problem.kernel[..., unit].ravel(), slots)


def output_shape(problem):
    batch, height, width = problem.times.shape[:3]
    kernel_height, kernel_width, _, units = problem.kernel.shape
    return batch, height - kernel_height + 1, width - kernel_width + 1, units


def trains(problem):
    """Return the Train of each neuron of a layer, by its index."""
    p = problem
    scalars = p.threshold, p.delta_threshold, p.tau_s, p.simulation_time, p.max_spikes
    return {index: neuron(times, weights, *scalars) for index, times, weights in neurons(p)}


def spikes(problem):
    """Return what `ttfs_keras.ops.spikes` does: times, counts and overflow."""
    times = np.full((*output_shape(problem), problem.max_spikes), np.inf)
    counts, overflow = np.zeros(output_shape(problem), int), 0
    for index, train in trains(problem).items():
        counts[index] = len(train.times)
        times[index][: counts[index]] = train.times
        overflow += train.overflow
    return times, counts, overflow


def peaks(problem):
    """Return what `ttfs_keras.ops.peaks` does: potentials and times."""
    found = np.empty((2, *output_shape(problem)))
    for index, times, weights in neurons(problem):
        found[(slice(None), *index)] = peak(times, weights, problem.tau_s, problem.simulation_time)
    return found


def differences(function, problem, name, step):
    """Return the derivative of `function(problem)` by each number of one argument, inf inputs excepted (0).

    Central differences at two steps, so combined that their errors of second order cancel.
    """
    value = np.asarray(getattr(problem, name))
    derivative = np.zeros(value.size)
    for index in np.flatnonzero(np.isfinite(value)):
        wide, narrow = (
            (function(problem.moved(name, index, h)) - function(problem.moved(name, index, -h))) / (2 * h)
            for h in (step, step / 2)
        )
        derivative[index] = (4 * narrow - wide) / 3
    return derivative.reshape(value.shape)
