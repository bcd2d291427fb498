import numpy as np
import pytest
import tensorflow as tf

from tests.bats.problems import Problem
from tests.ops.harness import one_neuron, run, run_peaks
from ttfs_keras.ops import bats

needs_library = pytest.mark.skipif(bats.library() is None, reason="the op library was not built")


@pytest.mark.parametrize("bad", [np.nan, -0.1, -np.inf])
def test_bad_times_are_refused(ops, bad):
    problem = one_neuron([0.0, bad], [4.0, 4.0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="0 or later"):
        run(ops, problem)
    with pytest.raises(tf.errors.InvalidArgumentError, match="0 or later"):
        run_peaks(ops, problem)


@pytest.mark.parametrize("name", ["threshold", "delta_threshold", "tau_s", "simulation_time"])
@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0])
def test_bad_scalars_are_refused(ops, name, bad):
    with pytest.raises(tf.errors.InvalidArgumentError, match="positive"):
        run(ops, one_neuron([0.0], [4.0], **{name: bad}))


@needs_library
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threshold": 1e-36, "tau_s": 1e10, "simulation_time": 1e10}, r"threshold / \(2 tau_s\) from "),
        ({"delta_threshold": 1e-36, "tau_s": 1e10, "simulation_time": 1e10}, r"delta_threshold / \(2 tau_s\) from "),
        ({"threshold": 1e20, "tau_s": 1e-30}, r"threshold / \(2 tau_s\) from "),
        ({"tau_s": 2e38}, "2 tau_s from "),
    ],
)
def test_scalars_that_float32_cannot_divide_are_refused(changes, message):
    """A threshold of 0 would be reached without any weight."""
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"expected {message}"):
        run(bats, one_neuron([0.0], [0.0], **changes), "float32")


@needs_library
@pytest.mark.parametrize("name", ["threshold", "delta_threshold", "tau_s", "simulation_time"])
def test_scalars_of_another_rank_are_refused(name):
    problem = one_neuron([0.0], [4.0])
    tensors = problem.tensors()
    tensors[name] = tensors[name][tf.newaxis]
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"expected {name} to be a scalar. Received: "):
        bats.spikes(**tensors, max_spikes=4)


def handed_on(problem):
    """Return the raw ops, the tensors of a problem as theirs, and what the op of the layer hands on."""
    raw, tensors = bats.library(), problem.tensors("float64")
    spikes, _, _, events, crossings = raw.ttfs_keras_bats_spikes(**tensors, max_spikes=problem.max_spikes)
    return raw, tensors, spikes, events, crossings


def layer(inputs):
    """Return a layer of 70 neurons in which every input spikes."""
    times = np.random.default_rng(0).uniform(0, 0.1, (3, 1, 1, inputs, 1))
    return Problem(times, np.full((1, 1, inputs, 70), 1.0), 0.2, 0.2, 0.13, 0.2, 6)


def overwritten(crossings, at):
    """Return them with a four-byte -1 at a place."""
    changed = crossings.numpy()
    changed[at : changed.size + at + 4] = 255
    return tf.constant(changed)


@needs_library
@pytest.mark.parametrize(
    "change",
    [
        lambda spikes, events, crossings: (spikes, events, crossings[:-1]),
        lambda spikes, events, crossings: (spikes, events, crossings[:0]),
        lambda spikes, events, crossings: (spikes, events, tf.concat([crossings, crossings[:8]], 0)),
        lambda spikes, events, crossings: (spikes[..., :1], events, crossings),
        lambda spikes, events, crossings: (spikes[..., :-40, :], events, crossings),
        lambda spikes, events, crossings: (spikes, events[:-1], crossings),
        lambda spikes, events, crossings: (spikes, tf.zeros(8 * (spikes.shape[0] + 1), tf.uint8), crossings),
        # The last crossing, of 40 bytes: its lane, its index.
        lambda spikes, events, crossings: (spikes, events, overwritten(crossings, -36)),
        lambda spikes, events, crossings: (spikes, events, overwritten(crossings, -32)),
        # A layer with more inputs.
        lambda spikes, events, crossings: (spikes, handed_on(layer(40))[3], crossings),
    ],
)
def test_gradients_take_only_what_the_layer_handed_on(change):
    """Anything else would make them read memory that is not theirs."""
    raw, tensors, *given = handed_on(layer(20))

    def gradient(spikes, events, crossings):
        found, _ = raw.ttfs_keras_bats_coefficients(
            spikes, tf.ones_like(spikes), crossings, tensors["delta_threshold"], tensors["tau_s"]
        )
        arguments = tensors["times"], tensors["kernel"], spikes, events, found, tensors["tau_s"]
        return [raw.ttfs_keras_bats_kernel_gradient(*arguments), raw.ttfs_keras_bats_times_gradient(*arguments)]

    assert all(np.isfinite(x).all() and np.any(x) for x in gradient(*given))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"expected (what the op of this layer handed on|spikes)"):
        gradient(*change(*given))


@needs_library
@pytest.mark.parametrize(("batch", "units"), [(65536, 2**20), (2**59, 0)])
def test_more_output_slots_than_can_be_counted_are_refused(batch, units):
    times, kernel = tf.zeros((batch, 1, 1, 0, 1)), tf.zeros((1, 1, 0, units))
    constants = [tf.constant(x) for x in (0.2, 0.2, 0.13, 0.2)]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"fewer than 2\^57 output slots"):
        bats.spikes(times, kernel, *constants, max_spikes=2**31 - 1)
