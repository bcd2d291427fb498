"""Multi-spike layers in plain TensorFlow: slower than the compiled op, and derived independently of it.

The forward pass goes event by event. The backward pass is no sweep over events: it is the automatic derivative of one
Newton step on the closed form of the membrane potential, summed over all inputs of a spike.
"""

import numpy as np
import tensorflow as tf

from ttfs_keras.ops.derivatives import once


def spikes(times, kernel, threshold, delta_threshold, tau_s, simulation_time, max_spikes, min_slope=0.0):
    """Simulate a layer of current-based LIF neurons exactly, event by event (Bacho & Chu, arXiv 2212.09500).

    du/dt = -u/tau + v, dv/dt = -v/tau_s, tau = 2 tau_s; an input spike adds its weight to v; u reaching the threshold
    is a spike and takes delta_threshold off u. In closed form, over inputs j and own spikes z before t,

        u(t) = tau sum_j w_j (e^(-(t - t_j)/tau) - e^(-2 (t - t_j)/tau)) - delta_threshold sum_z e^(-(t - t_z)/tau)

    and the first derivatives of u(t) = threshold by times, kernel, threshold, delta_threshold and tau_s are exact;
    there are no second ones. Memory grows with (output spikes) x (input spikes of a sample).

    Arguments, results and errors are those of `ttfs_keras.ops.spikes`; of the sizes of `times` only batch and slots may
    be unknown.
    """
    _check(times, threshold, delta_threshold, tau_s, simulation_time)
    times, kernel, threshold, delta_threshold, tau_s = map(once, (times, kernel, threshold, delta_threshold, tau_s))
    tau = 2 * tau_s
    bounds, rows = _events(times, kernel, tf.stop_gradient(simulation_time))
    inputs = [tf.stop_gradient(x) for x in (bounds, rows, kernel, threshold, delta_threshold, tau)]
    found, slopes, nan = _simulate(max_spikes, *inputs)
    counts = tf.reduce_sum(tf.cast((found < np.inf) & ~nan[..., tf.newaxis], tf.int32), axis=-1)
    overflow = tf.reduce_sum(tf.cast(counts > max_spikes, tf.int64))
    found, slopes = found[..., :max_spikes], slopes[..., :max_spikes]

    where = tf.where(found < np.inf)
    drive, _ = _potential(tf.gather_nd(found, where), where[:, 0], where[:, 1], bounds, rows, kernel, tau)
    drive = tf.scatter_nd(where, drive, tf.shape(found, tf.int64))
    found += _shifts(found, slopes, drive, threshold, delta_threshold, tau, min_slope)
    found += _nan(nan, bounds, kernel)[..., tf.newaxis]
    shape = _output_shape(times, kernel)
    return tf.reshape(found, [*shape, max_spikes]), tf.reshape(tf.minimum(counts, max_spikes), shape), overflow


def peaks(times, kernel, tau_s, simulation_time):
    """Return how far each neuron gets where it never fires: its largest potential, in closed form, and when.

    Between two inputs u/tau = b/E - a/E^2, E = e^(t/tau), has its largest value where E = 2a/b or at an end. At its
    time, du_max/dw = tau (e^(-s/tau) - e^(-2s/tau)), s the time from the input to the peak; times and tau_s likewise.
    A peak that an input cuts off moves with that input: du_max/dt_j = u' just before. Peaks are looked for at the end
    of the first interval between inputs and later.

    Args:
        times, kernel, tau_s, simulation_time: see `spikes`.

    Returns:
        (peaks, peak_times), both (batch, out_height, out_width, units): in units of u, -inf without input spikes; in
        seconds, inf without, and without a derivative.

    Raises:
        tf.errors.InvalidArgumentError: as `spikes`.
    """
    _check(times, tau_s, simulation_time)
    times, kernel, tau_s = map(once, (times, kernel, tau_s))
    tau = 2 * tau_s
    bounds, rows = _events(times, kernel, tf.stop_gradient(simulation_time))
    at, edge, nan = _find_peaks(*[tf.stop_gradient(x) for x in (bounds, rows, kernel, tau)])
    where = tf.where(at < np.inf)
    u, slope = _potential(tf.gather_nd(at, where), where[:, 0], where[:, 1], bounds, rows, kernel, tau)
    edge = tf.gather_nd(bounds, tf.stack([where[:, 0], tf.gather_nd(edge, where)], axis=1))
    u += tf.stop_gradient(slope) * (edge - tf.stop_gradient(edge))
    u = tf.tensor_scatter_nd_update(tf.fill(tf.shape(at), tf.constant(-np.inf, u.dtype)), where, u)
    u, at = u + _nan(nan, bounds, kernel), tf.where(nan, np.nan, at)
    shape = _output_shape(times, kernel)
    return tf.reshape(u, shape), tf.reshape(at, shape)


def _check(times, *scalars):
    tf.debugging.assert_positive(tf.stack(scalars), "expected positive thresholds, tau_s and simulation_time")
    bad = tf.math.count_nonzero(times < 0)
    tf.debugging.assert_equal(bad, tf.zeros_like(bad), "expected spike times of 0 or later, or inf")


def _output_shape(times, kernel):
    return [tf.shape(times)[0], *(times.shape[axis] - kernel.shape[axis - 1] + 1 for axis in (1, 2)), kernel.shape[3]]


def _events(times, kernel, simulation_time):
    """Return the input spikes of each column, a position of a sample, in time order.

    Returns:
        (bounds, rows): (columns, events + 1) times, ending with and padded with simulation_time, all NaN if one of them
        is; (columns, events) rows of the kernel, seen as a matrix.
    """
    _, height, width, channels, _ = times.shape
    kernel_height, kernel_width = kernel.shape[:2]
    batch, slots = tf.shape(times)[0], tf.shape(times)[4]
    y, x, dy, dx = np.ogrid[: height - kernel_height + 1, : width - kernel_width + 1, :kernel_height, :kernel_width]
    pixels = ((y + dy) * width + x + dx).reshape(-1, kernel_height * kernel_width)
    fields = tf.gather(tf.reshape(times, [batch, height * width, channels * slots]), pixels, axis=1)
    fields = tf.reshape(fields, [batch * len(pixels), pixels.shape[1] * channels * slots])
    fields += tf.reduce_sum(tf.where(tf.math.is_nan(fields), fields, 0), axis=1, keepdims=True)
    early = ~(fields >= simulation_time)  # NaN too
    count = tf.maximum(tf.reduce_max(tf.reduce_sum(tf.cast(early, tf.int32), axis=1)), 0)  # 0 for an empty batch
    order = tf.argsort(tf.where(early, fields, np.inf), axis=1, stable=True)[:, :count]
    fields = tf.gather(fields, order, batch_dims=1)
    bounds = tf.where(fields >= simulation_time, simulation_time, fields)
    return tf.concat([bounds, tf.fill([tf.shape(bounds)[0], 1], simulation_time)], axis=1), order // slots


def _crosses(a, b, c, first, last):
    """Tell where u reaches the threshold for E in (first, last]: above at the end, or above at a peak in between."""
    end = (c * last - b) * last + a <= 0
    peak = (b * b - 4 * c * a >= 0) & (b > 2 * c * first) & (b < 2 * c * last)
    return (end | peak) & (a > 0) & (b > 0)


def _nan(nan, bounds, kernel):
    """Return NaN, and such gradients of times and kernel, for these neurons (columns, units), and 0 for the others."""
    source = tf.reduce_sum(bounds, axis=1, keepdims=True) + tf.reduce_sum(kernel, axis=(0, 1, 2))
    return tf.where(nan, tf.where(nan, tf.constant(np.nan, source.dtype), 0) * source, 0)


def _not_finite(a, growth):
    """Tell where the membrane is not finite after an event; those that pad a list take no time."""
    return ~tf.math.is_finite(a) & ~(growth <= 1)


def _simulate(max_spikes, bounds, rows, kernel, threshold, delta_threshold, tau):
    """Return spike times and u' there, (columns, units, max_spikes + 1): a slot more, to see who would go on firing.

    The third result, (columns, units), says which neurons are NaN: an input time is, or a weight is not finite.

    Relative to the last event, u = tau (b/E - a/E^2) with E = e^(t/tau): nothing grows with the time since 0. Roots
    are solved in float64. All tests are positive, so that NaN never fires.
    """
    dtype, units = bounds.dtype, kernel.shape[3]
    kernel = tf.reshape(kernel, [-1, units])
    columns, events = tf.shape(rows)[0], tf.shape(rows)[1]
    growth = tf.exp((bounds[:, 1:] - bounds[:, :-1]) / tau)
    exact_tau = tf.cast(tau, tf.float64)
    exact_c, exact_d = tf.cast(threshold, tf.float64) / exact_tau, tf.cast(delta_threshold, tf.float64) / exact_tau
    c = tf.cast(exact_c, dtype)

    def receive(event, a, b, nan, counts, times, slopes):
        weights, last = tf.gather(kernel, rows[:, event]), growth[:, event, tf.newaxis]
        a, b, first = a + weights, b + weights, tf.ones_like(a)
        start, stop = bounds[:, event, tf.newaxis], bounds[:, event + 1, tf.newaxis]

        def fire(hit, b, first, counts, times, slopes):
            lanes = tf.where(hit)

            def exact(x):
                return tf.cast(tf.gather_nd(tf.broadcast_to(x, tf.shape(hit)), lanes), tf.float64)

            now, left = exact(b), tf.gather_nd(counts, lanes)
            x = tf.sqrt(tf.maximum(now * now - 4 * exact_c * exact(a), 0))
            # The earlier root, where u rises. Rounding must not move it out of the interval.
            e = tf.minimum(tf.maximum(2 * exact(a) / (now + x), exact(first)), exact(last))
            time = tf.minimum(exact(start) + exact_tau * tf.math.log(e), exact(stop))
            slot = tf.concat([lanes, tf.cast(left, tf.int64)[:, tf.newaxis]], axis=1)
            times = tf.tensor_scatter_nd_update(times, slot, tf.cast(time, dtype))
            slopes = tf.tensor_scatter_nd_update(slopes, slot, tf.cast(x / e, dtype))
            reset = tf.where(left < max_spikes, now - exact_d * e, -np.inf)  # a full train never fires again
            b = tf.tensor_scatter_nd_update(b, lanes, tf.cast(reset, dtype))
            first = tf.tensor_scatter_nd_update(first, lanes, tf.cast(e, dtype))
            counts = tf.tensor_scatter_nd_add(counts, lanes, tf.ones_like(left))
            return hit & _crosses(a, b, c, first, last), b, first, counts, times, slopes

        hit = _crosses(a, b, c, first, last) & (last > 1)  # else there is more input at the same time
        state = hit, b, first, counts, times, slopes
        _, b, _, counts, times, slopes = tf.while_loop(lambda hit, *_: tf.reduce_any(hit), fire, state)
        a, b = a / (last * last), b / last
        return event + 1, a, b, nan | _not_finite(a, last), counts, times, slopes

    rest = tf.zeros([columns, units], dtype)
    trains = [columns, units, max_spikes + 1]
    state = 0, rest, rest, tf.zeros_like(rest, tf.bool), tf.zeros_like(rest, tf.int32)
    state = *state, tf.fill(trains, tf.constant(np.inf, dtype)), tf.zeros(trains, dtype)
    *_, nan, _, times, slopes = tf.while_loop(lambda event, *_: event < events, receive, state)
    return times, slopes, nan


def _find_peaks(bounds, rows, kernel, tau):
    """Return, (columns, units), when u is largest, and the index in bounds of the event that cuts it off, or the last.

    Neurons without input get inf. The third result says which neurons are NaN, as in `_simulate`.
    """
    dtype, units = bounds.dtype, kernel.shape[3]
    kernel = tf.reshape(kernel, [-1, units])
    columns, events = tf.shape(rows)[0], tf.shape(rows)[1]

    def receive(event, a, b, nan, best, at, edge):
        weights = tf.gather(kernel, rows[:, event])
        a, b = a + weights, b + weights
        start, stop = bounds[:, event, tf.newaxis], bounds[:, event + 1, tf.newaxis]
        growth = tf.exp((stop - start) / tau)
        vertex = 2 * a / b
        inside = (vertex > 1) & (vertex < growth) & (a > 0)
        value = tf.where(inside, b * b / (4 * a), (b - a / growth) / growth)
        higher = (value > best) & (growth > 1)
        best = tf.where(higher, value, best)
        at = tf.where(higher, tf.where(inside, start + tau * tf.math.log(vertex), stop), at)
        edge = tf.where(higher, tf.where(inside, events, event + 1), edge)
        a, b = a / (growth * growth), b / growth
        return event + 1, a, b, nan | _not_finite(a, growth), best, at, edge

    rest = tf.zeros([columns, units], dtype)
    state = 0, rest, rest, tf.zeros_like(rest, tf.bool), rest - np.inf, rest + np.inf, tf.fill([columns, units], events)
    *_, nan, _, at, edge = tf.while_loop(lambda event, *_: event < events, receive, state)
    return at, tf.cast(edge, tf.int64), nan


def _potential(at, column, unit, bounds, rows, kernel, tau):
    """Return u without resets, and du/dt, of neurons (column, unit) at times `at`, all (neurons,)."""
    since = at[:, tf.newaxis] - tf.gather(bounds[:, :-1], column)
    before = since > 0
    since = tf.where(before, since, 0)
    row = tf.gather(rows, column)
    # The mask comes before the product: weights of later inputs may be NaN.
    unit = tf.cast(unit, row.dtype)[:, tf.newaxis]
    weights = tf.where(before, tf.gather(tf.reshape(kernel, [-1]), row * kernel.shape[3] + unit), 0)
    slow, fast = tf.exp(-since / tau), tf.exp(-2 * since / tau)
    u = tau * tf.reduce_sum(weights * (slow - fast), axis=1)
    return u, tf.reduce_sum(weights * (2 * fast - slow), axis=1)


def _shifts(times, slopes, drive, threshold, delta_threshold, tau, min_slope):
    """Return zeros (columns, units, max_spikes) whose derivative is that of the spike times.

    One Newton step, -(u - threshold)/u', less its value; u holds the shifts of the earlier spikes through the resets.
    """
    shifts, previous, resets = [], tf.zeros_like(times[..., 0]), tf.zeros_like(times[..., 0])
    for time, slope, potential in zip(*(tf.unstack(x, axis=-1) for x in (times, slopes, drive)), strict=True):
        resets *= tf.exp(-tf.where(time < np.inf, time - previous, 0) / tau)  # sum_z e^(-(t - t_z)/tau)
        rising = (time < np.inf) & (slope > 0)  # a spike at a tangent has no derivative
        step = (potential - delta_threshold * resets - threshold) / tf.where(rising, tf.maximum(slope, min_slope), 1)
        shift = tf.where(rising, tf.stop_gradient(step) - step, 0)
        resets += tf.exp(shift / tau)
        shifts.append(shift)
        previous = time
    return tf.stack(shifts, axis=-1)
