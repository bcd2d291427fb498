"""Multi-spike layers as functions of spike trains and kernels."""

import math
from typing import TypeAlias

import tensorflow as tf

from ttfs_keras import arguments, ops

__all__ = ["conv2d", "dense"]

Constant: TypeAlias = float | tf.Tensor
LONG = 100.0  # time constants


def dense(
    times: tf.Tensor,
    kernel: tf.Tensor,
    tau_s: Constant,
    threshold: Constant,
    delta_threshold: Constant | None = None,
    max_spikes: int = 30,
    simulation_time: Constant = 0.2,
    min_slope: float = 0.0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the spikes of fully connected multi-spike neurons; see `ttfs_keras.ops.spikes` for the model.

    Args:
        times: input spikes `(batch, pre, slots)` in seconds, any order, inf for none; float32 or float64.
        kernel: `(pre, post)`, of the same dtype.
        tau_s: synaptic time constant, seconds; the membrane's is twice that.
        threshold: potential at which a neuron spikes, in the unit of the weights.
        delta_threshold: by how much a spike lowers the potential; None: by the threshold.
        max_spikes: how many spikes a train can hold.
        simulation_time: seconds; no spike comes later. inf: to the last spike.
        min_slope: lower bound of du/dt at a spike in the gradient; 0: none.

    Returns:
        (times, counts): `(batch, post, max_spikes)` ascending, inf for none; int32 `(batch, post)`. All times
        of a neuron are NaN, and its count 0, if an input time is NaN or the weight of an input spike is not finite.

    Raises:
        ValueError: lists all ranks, sizes, dtypes and constants that cannot work.
        tf.errors.InvalidArgumentError: a time is negative (on a CPU), or a constant given as a tensor is not positive.

    Example:
        >>> times, counts = bats.dense(np.zeros((1, 1, 1)), np.array([[4.0]]), tau_s=1.0, threshold=1.0,
        ...                            max_spikes=3, simulation_time=10.0)
        >>> times.numpy().round(3).tolist(), counts.numpy().tolist()
        ([[[0.317, 0.813, inf]]], [[2]])
    """
    constants = (tau_s, threshold, delta_threshold, max_spikes, simulation_time, min_slope)
    return fire(1, times, kernel, *constants)[:2]


def conv2d(
    times: tf.Tensor,
    kernel: tf.Tensor,
    tau_s: Constant,
    threshold: Constant,
    delta_threshold: Constant | None = None,
    max_spikes: int = 30,
    simulation_time: Constant = 0.2,
    min_slope: float = 0.0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the spikes of convolutional multi-spike neurons, 'valid' borders, stride 1.

    Args:
        times: input spikes `(batch, height, width, channels, slots)` in seconds.
        kernel: `(kernel_height, kernel_width, channels, filters)`.
        tau_s, threshold, delta_threshold, max_spikes, simulation_time, min_slope: see `dense`.

    Returns:
        (times, counts): `(batch, out_height, out_width, filters, max_spikes)`; int32
        `(batch, out_height, out_width, filters)`. See `dense` for NaN.

    Raises:
        ValueError, tf.errors.InvalidArgumentError: see `dense`.

    Example:
        >>> times, counts = bats.conv2d(np.zeros((1, 4, 4, 1, 1)), np.ones((3, 3, 1, 2)), tau_s=0.1, threshold=0.2)
        >>> times.shape, counts.shape
        (TensorShape([1, 2, 2, 2, 30]), TensorShape([1, 2, 2, 2]))
    """
    constants = (tau_s, threshold, delta_threshold, max_spikes, simulation_time, min_slope)
    return fire(3, times, kernel, *constants)[:2]


def fire(
    spatial: int,
    times: tf.Tensor,
    kernel: tf.Tensor,
    tau_s: Constant,
    threshold: Constant,
    delta_threshold: Constant | None,
    max_spikes: int,
    simulation_time: Constant,
    min_slope: float,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the times and counts of `dense` or `conv2d`, and the number of neurons that would have fired once more.

    Args:
        spatial: dimensions of a neuron's place: 1 for dense, 3 for (height, width, channels).
        times, kernel, tau_s, threshold, delta_threshold, max_spikes, simulation_time, min_slope: see `dense`.
    """
    times, kernel = tf.convert_to_tensor(times), tf.convert_to_tensor(kernel)
    constants = check(times, kernel, spatial, tau_s, threshold, delta_threshold, max_spikes, simulation_time)
    image, filters = _as_image(times, kernel)
    spikes, counts, overflow = ops.spikes(image, filters, **constants, max_spikes=max_spikes, min_slope=min_slope)
    return *_from_image(spatial, spikes, counts), overflow


def peaks(times: tf.Tensor, kernel: tf.Tensor, tau_s: Constant, simulation_time: Constant) -> tf.Tensor:
    """Return the largest potential of each neuron that never fires, see `ttfs_keras.ops.peaks`.

    Shapes: `times` and `kernel` as those of `dense` or `conv2d`, to `(batch, ..., neurons)`.
    """
    tau_s, simulation_time = _scalar(tau_s, times.dtype), end(simulation_time, times, tau_s)
    image, filters = _as_image(times, kernel)
    found, _ = ops.peaks(image, filters, tau_s, simulation_time)
    return _from_image(kernel.shape.rank - 1, found)[0]


def _as_image(times, kernel):
    """Return trains (batch, pre, slots) as those of a 1 x 1 image, their kernel as a 1 x 1 filter; no copy."""
    if kernel.shape.rank == 4:
        return times, kernel
    # Slicing with `tf.newaxis` would copy.
    return tf.expand_dims(tf.expand_dims(times, 1), 1), tf.expand_dims(tf.expand_dims(kernel, 0), 0)


def _from_image(spatial, *tensors):
    return [tf.squeeze(tensor, (1, 2)) if spatial == 1 else tensor for tensor in tensors]


def check(
    times: tf.Tensor,
    kernel: tf.Tensor,
    spatial: int,
    tau_s: Constant,
    threshold: Constant,
    delta_threshold: Constant | None,
    max_spikes: int,
    simulation_time: Constant,
) -> dict[str, tf.Tensor]:
    """Return threshold, delta_threshold, tau_s and simulation_time, by name, as tensors of the trains' dtype.

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
            unlimited = name == "simulation_time" and value == math.inf
            number = "a positive, finite number" if name != "simulation_time" else "a positive number"
            expect(arguments.positive(value) or unlimited, f"{name} to be {number} or a tensor", repr(value))
    if problems:
        raise ValueError("This BATS layer cannot work:\n  " + "\n  ".join(problems))
    constants["simulation_time"] = end(simulation_time, times, tau_s)
    return {name: _scalar(value, times.dtype) for name, value in constants.items()}


def end(simulation_time: Constant, times: tf.Tensor, tau_s: Constant) -> tf.Tensor:
    """Return the end of the simulation as a scalar tensor; for inf a time after which no neuron can spike.

    After the last input u falls below any threshold for good: u(t) = theta then has no solution later than
    tau_s ln(v tau/theta) (`ttfs_keras.ops`: E* <= 2a/b <= sqrt(a/c)), which is below 100 tau_s for v tau < e^100 theta.
    """
    if tf.is_tensor(simulation_time) or simulation_time != math.inf:
        return _scalar(simulation_time, times.dtype)
    last = tf.reduce_max(tf.where(tf.math.is_finite(times), times, 0))
    # Not below 0, and what reduces nothing is the lowest number.
    return tf.maximum(tf.stop_gradient(last), 0) + LONG * tf.stop_gradient(tf.reduce_max(_scalar(tau_s, times.dtype)))


def _scalar(value: Constant, dtype: tf.DType) -> tf.Tensor:
    # Python numbers directly: a cast would take them through float32.
    return tf.cast(value, dtype) if tf.is_tensor(value) else tf.constant(value, dtype)
