"""The membrane of a TTFS neuron, integrated spike by spike in absolute time."""

import dataclasses

import numpy as np

# Times are resolved to this share of themselves: what lies closer to t_min or t_max than rounding errors is at it.
RESOLUTION = 1e-12


def integrate(times, weights, threshold, start, stop, first=0):
    """Integrate membranes from one incoming spike to the next and find where they first reach threshold.

        dV_i/dt = A_i H(t - start) + sum_j W_ij H(t - t_j),   V = 0 before the first of these events

    V is linear between events, so the sums below have no error but rounding. A threshold at or below 0 is reached at
    the first event. Source: Stanojevic et al., Nature Communications 15:6793 (2024), the integration phase.

    Args:
        times: `(rows, inputs)` absolute times of the incoming spikes, before `stop` or inf; they may precede `start`.
        weights: `(1 + inputs, neurons)`, the row A_i and then the rows W_ij; or several such matrices, see `first`.
        threshold: `(rows, neurons)` or a shape that broadcasts to it.
        start: t_min of the layer before, where A_i sets in.
        stop: t_min of this layer.
        first: `(rows,)` where the row A_i of each row of times is, where `weights` holds several matrices.

    Returns:
        `(rows, neurons)` absolute times at which threshold is first reached, inf where it is not before `stop`; and
        `(rows, neurons)` the potentials at `stop`, as if no neuron had fired.
    """
    rows, neurons = len(times), weights.shape[1]
    times = np.concatenate([np.full((rows, 1), start), times], axis=1)
    order = np.argsort(times, axis=1, kind="stable")
    events = np.take_along_axis(times, order, axis=1)
    # Transposed, an event's entries for all rows lie side by side. After its last spike a row only waits for `stop`.
    count = int(np.isfinite(events).sum(axis=1).max(initial=0))
    order = np.ascontiguousarray(order[:, :count].T) + first
    events = np.ascontiguousarray(np.minimum(events[:, :count], stop).T)
    durations = np.diff(events, axis=0, append=np.full((1, rows), stop))

    crossing = np.full((rows, neurons), np.inf)
    waiting_for = np.array(np.broadcast_to(threshold, (rows, neurons)), np.float64)
    at_rest = waiting_for <= 0
    if at_rest.any():
        crossing = np.where(at_rest, events[0][:, None], crossing)
        waiting_for[at_rest] = np.inf

    potential = np.zeros((rows, neurons))
    slope = np.zeros((rows, neurons))
    change = np.empty((rows, neurons))
    reached = np.empty((rows, neurons), bool)
    for event, (spike, duration) in enumerate(zip(order, durations, strict=True)):
        np.take(weights, spike, axis=0, out=change, mode="clip")
        slope += change
        np.multiply(slope, duration[:, None], out=change)
        change += potential
        np.greater_equal(change, waiting_for, out=reached)
        if reached.any():
            row, neuron = np.nonzero(reached)
            wait = (waiting_for[row, neuron] - potential[row, neuron]) / slope[row, neuron]
            crossing[row, neuron] = events[event][row] + np.minimum(wait, duration[row])
            waiting_for[row, neuron] = np.inf
        potential, change = change, potential
    # On the way from the last spike to `stop`, a membrane that ends at threshold within rounding has not crossed it.
    last = events[np.isfinite(times).sum(axis=1) - 1, np.arange(rows)]
    level = np.abs(potential - threshold) <= RESOLUTION * (stop + np.abs(threshold))
    crossing[(crossing >= last[:, None]) & level] = np.inf
    return crossing, potential


@dataclasses.dataclass(frozen=True)
class Firing:
    """What neurons did: absolute spike `times` (inf where silent) and two counts, `premature` and `saturated`."""

    times: np.ndarray
    premature: int
    saturated: int


def fire(crossing, potential, threshold, slope, window, armed):
    """Let neurons fire once: where they crossed threshold, or inside the window, in which they rise with their slope.

        t_i = t_min + (theta_i - V_i(t_min))/B_i        unless it crossed before t_min; silent if t_i >= t_max

    Args:
        crossing, potential, threshold: `(rows, neurons)` as in `integrate`, whose `stop` is t_min.
        slope: B > 0, a shape that broadcasts to `(rows, neurons)`.
        window: (t_min, t_max).
        armed: whether neurons cannot fire before t_min; those above threshold then fire at t_min.

    Returns:
        A `Firing`. A spike counts as premature if threshold was reached before t_min, and as saturated if the membrane
        is above it at t_min, whether the neuron was held back or not.
    """
    start, end = window
    early = crossing < start - RESOLUTION * start
    times = start + np.maximum(threshold - potential, 0) / slope
    if not armed:
        times = np.where(early, crossing, times)
    saturated = potential > threshold + RESOLUTION * (start + np.abs(threshold))
    times[times >= end - RESOLUTION * end] = np.inf
    return Firing(times, int(early.sum()), int(saturated.sum()))
