import keras
import numpy as np
import pytest

import ttfs_keras as tk
from tests import tolerances
from ttfs_keras.ttfs.schedule import Window, latency, schedule
from ttfs_keras.ttfs.spike_times import spike_times


def network(**kwargs):
    return keras.Sequential(
        [
            keras.Input((4, 4, 2), **kwargs),
            tk.TTFSEncoder(name="encoder", **kwargs),
            tk.TTFSConv2D(3, 3, window=2.0, name="conv", **kwargs),
            tk.TTFSMaxPooling2D(2, name="pool", **kwargs),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dropout(0.5, name="dropout"),
            tk.TTFSDense(5, window=0.25, name="dense", **kwargs),
            tk.TTFSReadout(2, name="readout", **kwargs),
            keras.layers.Softmax(name="softmax"),
        ]
    )


CHAIN = {
    "encoder": (0, 1), "conv": (1, 3), "pool": (1, 3), "flatten": (1, 3), "dropout": (1, 3),
    "dense": (3, 3.25), "readout": (3, 3.25), "softmax": (3, 3.25),
}  # fmt: skip


def test_windows_of_a_chain_are_end_to_end():
    snn = network()
    windows = schedule(snn)
    assert windows == CHAIN and list(windows) == list(CHAIN)
    assert windows["conv"] == Window(start=1.0, end=3.0)
    assert latency(snn) == 3.25


def test_functional_and_sequential_agree():
    snn = network()
    assert schedule(keras.Model(snn.inputs, snn.outputs)) == schedule(snn)


def test_schedule_follows_a_window_that_moves():
    snn = network()
    snn.get_layer("conv").window.assign(4.0)
    assert schedule(snn)["readout"] == (5, 5.25)


def test_branches_meet_when_the_later_one_ends():
    inputs = keras.Input((4, 4, 2))
    lead = tk.TTFSEncoder(name="encoder")(inputs)
    skip = tk.TTFSConv2D(2, 1, window=3.0, name="skip")(lead)
    branch = tk.TTFSConv2D(2, 1, window=0.5, name="branch")(skip)
    synapses = keras.layers.Conv2D(2, 1, name="synapses")(branch)
    total = keras.layers.Add(name="add")([synapses, skip])
    joined = tk.TTFSNeuron(window=2.0, name="joined")(total)
    merged = keras.layers.Concatenate(name="concatenate")([joined, branch])
    snn = keras.Model(inputs, [tk.TTFSReadout(2, name="readout")(merged), skip])
    windows = schedule(snn)
    assert windows["skip"] == (1, 4) and windows["branch"] == windows["synapses"] == (4, 4.5)
    # The skip's spikes, delayed by 0.5, fall between 1.5 and 4.5.
    assert windows["add"] == (1.5, 4.5)
    assert windows["joined"] == windows["concatenate"] == windows["readout"] == (4.5, 6.5)
    assert latency(snn) == 6.5


def test_operations_that_are_not_layers_keep_the_window():
    inputs = keras.Input((3,))
    lead = tk.TTFSEncoder()(inputs)
    snn = keras.Model(inputs, tk.TTFSReadout(2)(keras.ops.concatenate([lead, lead])))
    assert set(schedule(snn).values()) == {(0, 1)}


def test_layers_before_the_encoder_have_no_window():
    snn = keras.Sequential([keras.Input((2, 2)), keras.layers.Flatten(), tk.TTFSEncoder(name="encoder")])
    assert schedule(snn) == {"encoder": (0, 1)}


def test_spike_times_are_absolute_and_inf_where_silent():
    keras.utils.set_random_seed(0)
    snn = network(dtype="float64")
    x = np.random.default_rng(0).uniform(-0.5, 1, (5, 4, 4, 2))
    times = spike_times(snn, x, batch_size=2)
    assert list(times) == ["encoder", "conv", "pool", "dense"]
    assert all(t.dtype == np.float64 for t in times.values())
    silent = x <= 0
    assert np.isinf(times["encoder"][silent]).all()
    np.testing.assert_allclose(times["encoder"][~silent], 1 - x[~silent], atol=tolerances.SIMULATOR)
    for name, spikes in times.items():
        start, end = CHAIN[name]
        fired = np.isfinite(spikes)
        assert fired.any()
        assert (spikes[fired] >= start).all() and (spikes[fired] < end).all()
    conv = times["conv"]
    assert times["pool"].shape == (5, 1, 1, 3)
    np.testing.assert_array_equal(times["pool"], conv.min(axis=(1, 2), keepdims=True))


def test_spike_times_leave_out_pools_of_potentials():
    inputs = keras.Input((2, 2, 1))
    pooled = keras.layers.MaxPooling2D(name="pooled")(keras.layers.Conv2D(1, 1)(tk.TTFSEncoder(name="encoder")(inputs)))
    snn = keras.Model(inputs, tk.TTFSNeuron(name="neuron")(pooled))
    assert list(spike_times(snn, np.ones((1, 2, 2, 1)))) == ["encoder", "neuron"]


def test_layers_may_have_been_called_before():
    layers = [tk.TTFSEncoder(name="encoder"), tk.TTFSDense(3, name="dense"), tk.TTFSReadout(2, name="readout")]
    snn = keras.Sequential([keras.Input((3,))])
    for layer in layers:
        snn.add(layer)  # builds the model anew
    layers[1](keras.Input((3,)))
    assert schedule(snn) == {"encoder": (0, 1), "dense": (1, 2), "readout": (1, 2)}
    assert list(spike_times(snn, np.ones((1, 3)))) == ["encoder", "dense"]


def subclassed():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    return Subclassed()


def nested():
    inner = network()
    inner = keras.Model(inner.inputs[0], inner.outputs, name="inner")
    inputs = keras.Input((4, 4, 2))
    return keras.Model(inputs, inner(inputs))


def shared():
    inputs = keras.Input((3,))
    dense = tk.TTFSDense(3, name="dense")
    return keras.Model(inputs, tk.TTFSReadout(2)(dense(dense(tk.TTFSEncoder()(inputs)))))


def without_encoder():
    return keras.Sequential([keras.Input((3,)), tk.TTFSDense(3, name="first")])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (subclassed, "Functional model or a Sequential"),
        (lambda: keras.Sequential([tk.TTFSDense(2)]), "Functional model or a Sequential"),
        (shared, "Received: dense used more often"),
        (without_encoder, "'first' has none"),
    ],
)
def test_models_without_a_schedule_are_refused(model, message):
    model = model()
    for function in (schedule, latency):
        with pytest.raises(ValueError, match=message):
            function(model)


def test_a_network_within_a_model_has_the_schedule_of_its_own():
    inner, x = network(), np.random.default_rng(0).uniform(size=(3, 4, 4, 2))
    outer = nested()
    assert schedule(outer) == {f"inner_{name}": window for name, window in schedule(inner).items()}
    assert latency(outer) == latency(inner)
    inner.set_weights(outer.get_layer("inner").get_weights())
    found, expected = spike_times(outer, x), spike_times(inner, x)
    assert list(found) == [f"inner_{name}" for name in expected]
    for times, same in zip(found.values(), expected.values(), strict=True):
        np.testing.assert_array_equal(times, same)


@pytest.mark.parametrize("function", [spike_times, tk.summary, lambda model, x: tk.verify(model, model, x)])
def test_only_ttfs_networks_have_windows(function):
    inputs = keras.Input((4, 1))
    for model in (
        keras.Sequential([keras.Input((4, 1)), keras.layers.Dense(2)]),
        keras.Model(inputs, tk.bats.BATSDense(2)(inputs)),
    ):
        with pytest.raises(
            ValueError, match=r"Expected a TTFS network, with a TTFSEncoder.* Received: a model without"
        ):
            function(model, np.zeros((1, 4, 1)))


def test_latency_needs_spikes():
    with pytest.raises(ValueError, match="depends on spikes"):
        latency(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, 4, 4, 3)), r"shape \(None, 4, 4, 2\)"),
        (np.zeros((4, 4, 2)), r"Received: \(4, 4, 2\)"),
        (np.zeros((0, 4, 4, 2)), "at least one sample"),
        (np.full((1, 4, 4, 2), np.nan), "32 of 32 that are NaN"),
        (np.full((1, 4, 4, 2), "a"), "expected numbers"),
    ],
)
def test_bad_inputs_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        spike_times(network(), x)
