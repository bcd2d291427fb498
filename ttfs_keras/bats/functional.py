"""Multi-spike layers as functions of spike trains and kernels."""

import tensorflow as tf

from ttfs_keras import arguments, ops


def dense(times, kernel, tau_s, threshold, delta_threshold=None, max_spikes=30, simulation_time=0.2):
    """Return the spikes of fully connected multi-spike neurons; see `ttfs_keras.ops.spikes` for the model.

    Args:
        times: input spikes (batch, pre, slots) in seconds, any order, inf for none; float32 or float64.
        kernel: (pre, post), of the same dtype.
        tau_s: synaptic time constant, seconds; the membrane's is twice that.
        threshold: of the membrane potential.
        delta_threshold: what a spike takes off the potential; None: the threshold.
        max_spikes: length of a train.
        simulation_time: seconds.

    Returns:
        (times, counts): (batch, post, max_spikes) ascending, inf for none; int32 (batch, post).

    Raises:
        ValueError: ranks, sizes, dtypes or constants that cannot work, all of them at once.
        tf.errors.InvalidArgumentError: see `ttfs_keras.ops.spikes`.
    """
    times, kernel = tf.convert_to_tensor(times), tf.convert_to_tensor(kernel)
    constants = check(times, kernel, 1, tau_s, threshold, delta_threshold, max_spikes, simulation_time)
    spikes, counts, _ = ops.spikes(as_image(times), as_filter(kernel), **constants, max_spikes=max_spikes)
    return tf.squeeze(spikes, (1, 2)), tf.squeeze(counts, (1, 2))


def conv2d(times, kernel, tau_s, threshold, delta_threshold=None, max_spikes=30, simulation_time=0.2):
    """Return the spikes of convolutional multi-spike neurons, 'valid' borders, stride 1.

    Args:
        times: input spikes (batch, height, width, channels, slots).
        kernel: (kernel_height, kernel_width, channels, filters).
        tau_s, threshold, delta_threshold, max_spikes, simulation_time: see `dense`.

    Returns:
        (times, counts): (batch, out_height, out_width, filters, max_spikes); int32 (batch, ..., filters).

    Raises:
        ValueError, tf.errors.InvalidArgumentError: see `dense`.
    """
    times, kernel = tf.convert_to_tensor(times), tf.convert_to_tensor(kernel)
    constants = check(times, kernel, 3, tau_s, threshold, delta_threshold, max_spikes, simulation_time)
    spikes, counts, _ = ops.spikes(times, kernel, **constants, max_spikes=max_spikes)
    return spikes, counts


def as_image(times):
    """Return trains (batch, pre, slots) as those of a 1 x 1 image; no copy, as slicing would make."""
    return tf.expand_dims(tf.expand_dims(times, 1), 1)


def as_filter(kernel):
    """Return a kernel (pre, post) as that of a 1 x 1 convolution."""
    return tf.expand_dims(tf.expand_dims(kernel, 0), 0)


def check(times, kernel, spatial, tau_s, threshold, delta_threshold, max_spikes, simulation_time):
    """Return threshold, delta_threshold, tau_s and simulation_time, by name, as tensors of the trains' dtype.

    Args:
        spatial: dimensions of a neuron's place: 1 for dense, 3 for (height, width, channels).

    Raises:
        ValueError: lists everything that cannot work.
    """
    problems = []

    def expect(holds, expected, received):
        if not holds:
            problems.append(f"expected {expected}. Received: {received}")

    expect(times.dtype in (tf.float32, tf.float64), "times of dtype float32 or float64", times.dtype.name)
    expect(kernel.dtype == times.dtype, f"kernel of dtype {times.dtype.name}, as the times", kernel.dtype.name)
    layout = {1: "(batch, pre, slots)", 3: "(batch, height, width, channels, slots)"}[spatial]
    expect(times.shape.rank == spatial + 2, f"times {layout}", times.shape)
    layout = {1: "(pre, post)", 3: "(kernel_height, kernel_width, channels, filters)"}[spatial]
    expect(kernel.shape.rank == spatial + 1, f"kernel {layout}", kernel.shape)
    if times.shape.rank == spatial + 2 and kernel.shape.rank == spatial + 1:
        sources = times.shape[-2]
        expect(sources in (None, kernel.shape[-2]), f"kernel for {sources} inputs", kernel.shape)
        for axis in range(spatial - 1):
            size, room = kernel.shape[axis], times.shape[axis + 1]
            expect(room is None or 1 <= size <= room, f"kernel within {times.shape[1:3]}", kernel.shape)
    expect(arguments.count(max_spikes), "max_spikes to be an int of at least 1", repr(max_spikes))
    constants = {
        "threshold": threshold,
        "delta_threshold": threshold if delta_threshold is None else delta_threshold,
        "tau_s": tau_s,
        "simulation_time": simulation_time,
    }
    for name, value in constants.items():
        if not tf.is_tensor(value):  # tensors are checked by the op, when their values are known
            expect(arguments.positive(value), f"{name} to be a positive, finite number or a tensor", repr(value))
    if problems:
        raise ValueError("This BATS layer cannot work:\n  " + "\n  ".join(problems))
    # Python numbers directly: a cast would take them through float32.
    return {
        name: tf.cast(value, times.dtype) if tf.is_tensor(value) else tf.constant(value, times.dtype)
        for name, value in constants.items()
    }
