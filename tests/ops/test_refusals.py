import numpy as np
import pytest
import tensorflow as tf

from tests.bats.problems import Problem
from tests.ops.harness import one_neuron, run, run_peaks
from ttfs_keras.ops import bats

needs_library = pytest.mark.skipif(bats.library() is None, reason="the op library was not built")


@pytest.mark.parametrize("bad", [-0.1, -np.inf])
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


RECORD = ("event_splits", "event_places", "event_decays")
RECORD += ("crossing_splits", "crossing_places", "crossing_decays", "crossing_slopes")


def handed_on(problem):
    """Return the raw ops, the tensors of a problem as theirs, and the spikes and the record of its layer."""
    raw, tensors = bats.library(), problem.tensors("float64")
    spikes, _, _, *record = raw.ttfs_keras_bats_spikes(**tensors, max_spikes=problem.max_spikes)
    return raw, tensors, {"spikes": spikes, **dict(zip(RECORD, record, strict=True))}


def layer(inputs):
    """Return a layer of 70 neurons in which every input spikes."""
    times = np.random.default_rng(0).uniform(0, 0.1, (3, 1, 1, inputs, 1))
    return Problem(times, np.full((1, 1, inputs, 70), 1.0), 0.2, 0.2, 0.13, 0.2, 6)


def replaced(at, value):
    """Return a function that replaces an element of an array."""

    def change(array):
        array[at] = value
        return array

    return change


def resizes(name):
    """Return changes of the number of rows of a tensor."""
    return [
        (name, lambda x: x[:-1]),
        (name, lambda x: x[:0]),
        (name, lambda x: np.concatenate([x, x[-1:]])),
    ]


@needs_library
@pytest.mark.parametrize(
    ("name", "change"),
    [
        *(change for name in RECORD for change in resizes(name)),
        ("spikes", lambda x: x[..., :1]),
        ("spikes", lambda x: x[..., :-40, :]),
        *((name, replaced(0, -1)) for name in ("event_splits", "crossing_splits")),
        *((name, replaced(1, 2**62)) for name in ("event_splits", "crossing_splits")),
        *((name, replaced(1, -(2**62))) for name in ("event_splits", "crossing_splits")),
        *(("event_places", replaced((-1, field), bad)) for field, size in enumerate((20, 20)) for bad in (-1, size)),
        # Of the last crossing: event, unit.
        *(("crossing_places", replaced((-1, field), bad)) for field, size in enumerate((20, 70)) for bad in (-1, size)),
        ("crossing_places", replaced((0, 1), 69)),  # a unit of another tile
        ("crossing_places", replaced((slice(7), 1), 0)),  # more spikes than max_spikes
        ("crossing_slopes", lambda x: x[:, np.newaxis][:, [0, 0]]),
        ("crossing_places", lambda x: x[:, :1]),
    ],
)
def test_gradients_take_only_what_the_layer_handed_on(name, change):
    """Anything else would make them read memory that is not theirs."""
    raw, tensors, given = handed_on(layer(20))

    def gradient(spikes, event_splits, event_places, event_decays, crossing_splits, crossing_places, *values):
        found, _ = raw.ttfs_keras_bats_coefficients(
            spikes,
            tf.ones_like(spikes),
            crossing_splits,
            crossing_places,
            values[1],
            tensors["delta_threshold"],
            tensors["tau_s"],
        )
        arguments = tensors["times"], tensors["kernel"], spikes, event_splits, event_places, event_decays
        arguments += crossing_splits, crossing_places, values[0], found, tensors["tau_s"]
        return [raw.ttfs_keras_bats_kernel_gradient(*arguments), raw.ttfs_keras_bats_times_gradient(*arguments)]

    assert all(np.isfinite(x).all() and np.any(x) for x in gradient(*given.values()))
    given[name] = tf.constant(change(given[name].numpy()))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"expected (what the op of this layer handed on|spikes)"):
        gradient(*given.values())


@needs_library
def test_gradients_take_only_the_events_of_their_layer():
    raw, tensors, given = handed_on(layer(20))
    _, _, other = handed_on(layer(40))
    found, _ = raw.ttfs_keras_bats_coefficients(
        given["spikes"],
        tf.ones_like(given["spikes"]),
        *(given[f"crossing_{name}"] for name in ("splits", "places", "slopes")),
        tensors["delta_threshold"],
        tensors["tau_s"],
    )
    events = [other[name] for name in RECORD[:3]]
    crossings = [given[name] for name in RECORD[3:6]]
    arguments = tensors["times"], tensors["kernel"], given["spikes"], *events, *crossings, found, tensors["tau_s"]
    for gradient in (raw.ttfs_keras_bats_kernel_gradient, raw.ttfs_keras_bats_times_gradient):
        with pytest.raises(tf.errors.InvalidArgumentError, match="expected what the op of this layer handed on"):
            gradient(*arguments)


@needs_library
def test_an_op_s_signature_gives_the_ranks_of_what_it_hands_on():
    raw, shapes = bats.library(), {}

    @tf.function(input_signature=[tf.TensorSpec([None] * 5), tf.TensorSpec([None] * 4)])
    def graph(times, kernel):
        constants = [tf.constant(x) for x in (0.2, 0.2, 0.13, 0.2)]
        layer = raw.ttfs_keras_bats_spikes(times, kernel, *constants, max_spikes=3)
        peaks = raw.ttfs_keras_bats_peaks(times, kernel, *constants[2:])
        shapes.update({name: [getattr(op, name).shape.as_list() for op in (layer, peaks)] for name in RECORD})
        return layer.spikes

    graph.get_concrete_function()
    columns = {"event_places": [None, 2], "crossing_places": [None, 2]}
    assert shapes == {name: 2 * [columns.get(name, [None])] for name in RECORD}


@needs_library
@pytest.mark.parametrize(("batch", "units"), [(65536, 2**20), (2**59, 0)])
def test_more_output_slots_than_can_be_counted_are_refused(batch, units):
    times, kernel = tf.zeros((batch, 1, 1, 0, 1)), tf.zeros((1, 1, 0, units))
    constants = [tf.constant(x) for x in (0.2, 0.2, 0.13, 0.2)]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"fewer than 2\^57 output slots"):
        bats.spikes(times, kernel, *constants, max_spikes=2**31 - 1)
