"""Multi-spike layers as ops: the compiled library where there is one, else the plain-TensorFlow reference."""

import tensorflow as tf

from ttfs_keras.ops import reference
from ttfs_keras.ops.derivatives import no_second_derivative
from ttfs_keras.ops.library import library


def spikes(times, kernel, threshold, delta_threshold, tau_s, simulation_time, max_spikes, min_slope=0.0):
    """Simulate a layer of current-based LIF neurons exactly, event by event (Bacho & Chu, arXiv 2212.09500).

    du/dt = -u/tau + v, dv/dt = -v/tau_s, tau = 2 tau_s; an input spike adds its weight to v; u reaching the threshold
    is a spike and takes delta_threshold off u. Differentiable in times, kernel, threshold, delta_threshold and tau_s,
    once; one backward sweep over the events gives the exact gradients. All tensors share a dtype, float32 or float64.

    Args:
        times: input spikes (batch, height, width, channels, slots) in seconds, any order, inf for none; a dense
            layer's is 1 x 1.
        kernel: (kernel_height, kernel_width, channels, units).
        threshold, delta_threshold: scalars, in units of u, above 0.
        tau_s: synaptic time constant, scalar, seconds, above 0.
        simulation_time: scalar, seconds: no spikes after it, no effect of input at or after it.
        max_spikes: int, length of a train; a neuron is silent once its train is full.
        min_slope: the gradient takes at least this for du/dt at a spike; 0: as it is.

    Returns:
        (times, counts, overflow): (batch, out_height, out_width, units, max_spikes) ascending, inf for none;
        int32 (batch, out_height, out_width, units); int64 scalar, the neurons that would have fired once more. A neuron
        with an input time that is NaN, or an input spike whose weight is not finite, has a count of 0, NaN in all slots
        of its train and NaN gradients.

    Raises:
        NotImplementedError: a gradient of a gradient is asked for.
        tf.errors.InvalidArgumentError: shapes do not fit, a scalar is not positive, or (on a CPU) a time is negative; a
            GPU ignores such spikes.
    """
    raw = library()
    if raw is None:
        return reference.spikes(
            times, kernel, threshold, delta_threshold, tau_s, simulation_time, max_spikes, min_slope
        )
    spikes, counts, overflow, *_ = raw.ttfs_keras_bats_spikes(
        times, kernel, threshold, delta_threshold, tau_s, simulation_time, max_spikes=max_spikes, min_slope=min_slope
    )
    return spikes, counts, overflow


def peaks(times, kernel, tau_s, simulation_time):
    """Return how far each neuron gets where it never fires: its largest potential, in closed form, and when.

    Differentiable in times, kernel and tau_s, so that silent neurons learn: du_max/dw = tau (e^(-s/tau) - e^(-2s/tau)),
    s the time from the input to the peak; an input that cuts the rise off moves the peak along. Peaks are looked for at
    the end of the first interval between inputs and later.

    Args:
        times, kernel, tau_s, simulation_time: see `spikes`.

    Returns:
        (peaks, peak_times), both (batch, out_height, out_width, units): in units of u, -inf without input spikes; in
        seconds, inf without; NaN as in `spikes`.

    Raises:
        tf.errors.InvalidArgumentError: as `spikes`.
    """
    raw = library()
    if raw is None:
        return reference.peaks(times, kernel, tau_s, simulation_time)
    found, when, *_ = raw.ttfs_keras_bats_peaks(times, kernel, tau_s, simulation_time)
    return found, when


def _backward(times, kernel, spikes, record, gradient, delta_threshold, tau_s, min_slope=0.0):
    """Return the gradients of times and kernel and the totals of the others, from what an op recorded for them."""
    raw = library()
    *events, splits, places, decays, slopes = record
    # Several ops, so that a graph drops those whose gradients are not needed.
    coefficients, totals = raw.ttfs_keras_bats_coefficients(
        spikes, gradient, splits, places, slopes, delta_threshold, tau_s, min_slope=min_slope
    )
    arguments = times, kernel, spikes, *events, splits, places, decays, coefficients, tau_s
    return raw.ttfs_keras_bats_times_gradient(*arguments), raw.ttfs_keras_bats_kernel_gradient(*arguments), totals


@tf.RegisterGradient("TtfsKeras>BatsSpikes")
def _spikes_gradient(op, gradient, *_):
    times, kernel, threshold, delta_threshold, tau_s, _ = op.inputs
    spikes, _, _, *record = op.outputs
    times_gradient, kernel_gradient, totals = _backward(
        times, kernel, spikes, record, gradient, delta_threshold, tau_s, op.get_attr("min_slope")
    )
    threshold_gradient, delta_gradient, spikes_part = tf.unstack(tf.reduce_sum(totals, axis=0))
    # The potential is homogeneous of degree 1 in all times, thresholds and tau_s: measured in another unit, all of them
    # scale alike. Euler's theorem then gives the derivative by tau_s from the others.
    finite = tf.math.is_finite(times)
    times_part = tf.reduce_sum(tf.where(finite, times, 0) * times_gradient)
    tau_s_gradient = (
        spikes_part - times_part - threshold * threshold_gradient - delta_threshold * delta_gradient
    ) / tau_s
    return times_gradient, kernel_gradient, threshold_gradient, delta_gradient, tau_s_gradient, None


@tf.RegisterGradient("TtfsKeras>BatsPeaks")
def _peaks_gradient(op, gradient, *_):
    times, kernel, tau_s, _ = op.inputs
    peaks, peak_times, slopes, slots, *record = op.outputs
    # At fixed time du/dw and du/dt_j are those of a lone spike there, with slope 1, times -1.
    at, one = peak_times[..., tf.newaxis], tf.ones_like(tau_s)
    times_gradient, kernel_gradient, _ = _backward(times, kernel, at, record, -gradient[..., tf.newaxis], one, tau_s)
    # An input that cuts the rise off moves the peak along.
    shape = tf.shape(times, tf.int64)
    per_sample = tf.reduce_prod(shape[1:])
    sample = tf.reshape(tf.range(shape[0]), (-1, 1, 1, 1))
    place = tf.where(slots >= 0, sample * per_sample + tf.cast(slots, tf.int64), -1)  # -1: left out of the sum
    moved = tf.math.unsorted_segment_sum(gradient * slopes, place, shape[0] * per_sample)
    # u at its peak is homogeneous of degree 1 in the times of inputs and peak and in tau_s; see `_spikes_gradient`.
    reached = tf.math.is_finite(peak_times)
    own = tf.where(reached, peaks, 0) - tf.where(reached, peak_times, 0) * slopes
    inputs_part = tf.reduce_sum(tf.where(tf.math.is_finite(times), times, 0) * times_gradient)
    tau_s_gradient = (tf.reduce_sum(gradient * own) - inputs_part) / tau_s
    return times_gradient + tf.reshape(moved, shape), kernel_gradient, tau_s_gradient, None


for _name in ("Coefficients", "TimesGradient", "KernelGradient"):
    tf.RegisterGradient(f"TtfsKeras>Bats{_name}")(no_second_derivative)
