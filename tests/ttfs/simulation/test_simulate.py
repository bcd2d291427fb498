import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ttfs_keras as tk
from tests import tolerances
from tests.ttfs.simulation.test_membrane import closed_form
from ttfs_keras.ttfs.schedule import latency, schedule
from ttfs_keras.ttfs.simulation import simulate as simulation
from ttfs_keras.ttfs.simulation.simulate import simulate
from ttfs_keras.ttfs.spike_times import spike_times
from ttfs_keras.ttfs.synapses import SpikingSynapses

FLOAT64 = {"dtype": "float64"}


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


def images(*shape, seed=0):
    """Return pixels in [0, 1], a quarter of them 0."""
    x = np.random.default_rng(seed).uniform(-1 / 3, 1, shape)
    return np.maximum(x, 0)


def chain(shape, *layers, dtype="float64", **encoder):
    encoder = tk.TTFSEncoder(name="encoder", dtype=dtype, **encoder)
    return keras.Sequential([keras.Input(shape, dtype=dtype), encoder, *layers])


def dense(units, name, **kwargs):
    kwargs = {"bias_initializer": keras.initializers.RandomNormal(stddev=0.2), **FLOAT64, **kwargs}
    return tk.TTFSDense(units, name=name, **kwargs)


def conv(filters, kernel_size, name, **kwargs):
    kwargs = {"bias_initializer": keras.initializers.RandomNormal(stddev=0.2), **FLOAT64, **kwargs}
    return tk.TTFSConv2D(filters, kernel_size, name=name, **kwargs)


def readout(units=3, **kwargs):
    kwargs = {"bias_initializer": keras.initializers.RandomNormal(stddev=0.2), **FLOAT64, **kwargs}
    return tk.TTFSReadout(units, name="readout", **kwargs)


def synapses(*weights, offsets):
    """Return the arguments that give a layer these weights, one row an input, and offsets."""
    return {
        "kernel_initializer": lambda shape, dtype: np.reshape(weights, shape),
        "bias_initializer": lambda shape, dtype: np.reshape(offsets, shape),
        **FLOAT64,
    }


def widen(snn, x, factor=4):
    """Let windows grow to the activations, then more, so that no membrane passes threshold on its way."""
    snn(x, training=True)
    for layer in snn.layers:
        if isinstance(layer, SpikingSynapses):
            layer.window.assign(factor * layer.window)


def assert_same_times(snn, found, expected, tolerance=tolerances.SIMULATOR):
    assert list(found) == list(expected)
    windows = schedule(snn)
    for name, times in found.items():
        end = windows[name].end
        assert times.dtype == np.float64 and times.shape == expected[name].shape
        # A spike within rounding of t_max may be silence on the other path.
        np.testing.assert_allclose(np.minimum(times, end), np.minimum(expected[name], end), rtol=0, atol=tolerance)


def assert_agrees(snn, x, premature=0, tolerance=tolerances.SIMULATOR, **kwargs):
    """Check that the simulator and the fast path agree on outputs and spike times."""
    result = simulate(snn, x, **kwargs)
    assert result.premature_spikes == premature
    assert result.outputs.dtype == np.float64
    np.testing.assert_allclose(result.outputs, snn(x), rtol=0, atol=tolerance)
    assert_same_times(snn, result.spike_times, spike_times(snn, x), tolerance)
    return result


def test_dense_networks():
    snn = chain((20,), dense(15, "first"), dense(12, "second"), dense(9, "third"), readout())
    x = images(30, 20)
    widen(snn, x)
    result = assert_agrees(snn, x)
    assert list(result.spike_times) == ["encoder", "first", "second", "third"]
    assert result.premature_by_layer == result.saturated_by_layer == {"first": 0, "second": 0, "third": 0}
    for times in result.spike_times.values():
        assert np.isinf(times).any() and np.isfinite(times).any()


def test_convolutional_network():
    snn = chain(
        (9, 8, 4),
        conv(6, 3, "same", padding="same"),
        tk.TTFSMaxPooling2D(2, name="pool", **FLOAT64),
        conv(8, (1, 3), "grouped", groups=2, padding="same"),
        conv(4, 2, "dilated", dilation_rate=(2, 1)),
        keras.layers.Dropout(0.5, **FLOAT64),
        keras.layers.Flatten(**FLOAT64),
        dense(10, "dense", use_bias=False),
        readout(use_bias=False),
        keras.layers.Softmax(**FLOAT64),
    )
    x = images(6, 9, 8, 4)
    widen(snn, x)
    result = assert_agrees(snn, x)
    assert list(result.spike_times) == ["encoder", "same", "pool", "grouped", "dilated", "dense"]
    np.testing.assert_allclose(result.outputs.sum(axis=1), 1)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_convolution(data):
    draw = data.draw
    padding = draw(st.sampled_from(["same", "valid"]))
    groups = draw(st.integers(1, 3))
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (5, 5), (1, 3), (4, 2)]))
    strides = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 2))) if strides == (1, 1) else (1, 1)
    size = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    if padding == "valid":
        size = tuple(max(n, (k - 1) * d + 1) for n, k, d in zip(size, kernel, dilation, strict=True))
    parameterization = draw(st.sampled_from(["b1", "alpha1"]))
    kernels = keras.initializers.GlorotUniform(draw(st.integers(0, 1000)))
    layer = conv(
        2 * groups, kernel, "conv", strides=strides, dilation_rate=dilation, padding=padding, groups=groups,
        use_bias=draw(st.booleans()), input_affine=draw(st.booleans()), parameterization=parameterization,
        kernel_initializer=kernels if parameterization == "b1" else tk.SmartAlpha1(kernels),
    )  # fmt: skip
    snn = chain((*size, groups), layer)
    if layer.input_affine is not None:
        generator = np.random.default_rng(0)
        # Positive scales keep alpha1's slopes positive here: 1 + sum W grows or shrinks less than W does.
        layer.input_affine.scale.assign(generator.uniform(0.5, 1, groups))
        layer.input_affine.offset.assign(generator.normal(0, 0.5, groups))
    x = images(2, *size, groups)
    widen(snn, x, 20)
    assert_agrees(snn, x)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (3, 3), (6, 5)])
@pytest.mark.parametrize(("kernel", "strides"), [(3, 1), (5, 2), ((1, 3), 1)])
def test_border_maps_of_an_input_range(size, kernel, strides):
    first = conv(5, kernel, "conv", strides=strides, padding="same", input_affine=True)
    snn = chain((*size, 2), first, conv(3, 3, "second", padding="same", input_affine=True), input_range=(-3, 3))
    first.input_affine.scale.assign([6.0, 6.0])
    first.input_affine.offset.assign([-3.0, -3.0])
    snn.get_layer("second").input_affine.offset.assign([0.5, -0.5, 0.1, 0.0, -0.2])
    x = np.random.default_rng(0).uniform(-3, 3, (3, *size, 2))
    widen(snn, x, 20)
    assert_agrees(snn, x)


@pytest.mark.parametrize("pool", [2, (3, 2), (1, 3)])
@pytest.mark.parametrize("strides", [None, 1, (2, 3)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_pools(pool, strides, padding):
    signed = tk.TTFSMaxPooling2D(pool, strides, padding, signed=True, name="signed", **FLOAT64)
    plain = keras.layers.MaxPooling2D(2, 1, padding, name="plain", **FLOAT64)
    snn = chain((7, 6, 4), signed, plain)
    signed.sign.assign([1.0, -1.0, 1.0, -1.0])
    result = assert_agrees(snn, images(3, 7, 6, 4))
    latest = result.spike_times["signed"][..., 1]
    assert np.isinf(latest).any() and np.isfinite(latest).any()


def test_alpha1():
    arguments = {"parameterization": "alpha1", "kernel_initializer": tk.SmartAlpha1("glorot_uniform")}
    snn = chain(
        (5, 5, 2),
        conv(6, 3, "conv", padding="same", **arguments),
        keras.layers.Flatten(**FLOAT64),
        dense(15, "dense", **arguments),
        readout(**arguments),
    )
    x = images(10, 5, 5, 2)
    widen(snn, x, 20)
    assert np.ptp(snn.get_layer("readout").slope((None, 15))) > 0.1
    assert_agrees(snn, x)


@pytest.mark.parametrize("parameterization", ["b1", "alpha1"])
def test_without_input_the_offset_alone_decides(parameterization):
    """Windows and slopes of many roundings: none may turn silence into a spike."""
    offsets = np.array([0, 0.3, -0.3, 0, 0, 0, 0])
    weights = np.random.default_rng(0).uniform(-0.1, 0.3, (5, 7))
    arguments = synapses(*weights, offsets=offsets)
    snn = chain(
        (5,), *(dense(7, f"d{i}", **arguments, window=0.7, parameterization=parameterization) for i in range(1))
    )
    result = assert_agrees(snn, np.zeros((1, 5)))
    assert np.isfinite(result.spike_times["d0"]).tolist() == (offsets > 0).reshape(1, -1).tolist()


def test_quantized_weights_and_times():
    perturbation = [tk.WeightQuantization(4), tk.TimeQuantization(5)]
    arguments = {"perturbation": perturbation, "window": 9.7, "window_rule": tk.FixedWindow()}
    snn = chain(
        (6, 6, 2),
        conv(4, 3, "conv", **arguments),
        keras.layers.Flatten(**FLOAT64),
        dense(10, "dense", **arguments),
        readout(perturbation=perturbation),
        perturbation=perturbation,
    )
    x = images(8, 6, 6, 2)
    plain = np.asarray(keras.models.clone_model(snn)(x))
    result = assert_agrees(snn, x)
    assert np.abs(result.outputs - plain).max() > tolerances.FLOAT32
    steps = (schedule(snn)["conv"].end - result.spike_times["conv"]) / 9.7 * 2**5
    steps = steps[np.isfinite(steps)]
    np.testing.assert_allclose(steps, np.round(steps), atol=tolerances.SIMULATOR)


def test_jitter_of_the_same_draw():
    jitter = tk.SpikeTimeJitter(0.05, seed=1)
    snn = chain((10,), dense(8, "dense", perturbation=jitter), readout(), perturbation=jitter)
    x = images(5, 10)
    widen(snn, x)

    def rewound():
        for layer in snn.layers[:2]:
            layer.perturbations[0].draws.assign(0)
        return snn

    outputs = simulate(rewound(), x).outputs
    np.testing.assert_array_equal(simulate(rewound(), x).outputs, outputs)
    np.testing.assert_allclose(rewound()(x), outputs, rtol=0, atol=tolerances.SIMULATOR)
    assert np.abs(simulate(snn, x).outputs - outputs).max() > tolerances.FLOAT32, "the next draw is another"


def test_perturbation_leaves_a_premature_spike_premature():
    arguments = synapses(2.0, -4.0, offsets=[0.0])
    for perturbation in (tk.TimeQuantization(1), tk.SpikeTimeJitter(0.001)):
        snn = chain((2,), dense(1, "dense", window=0.5, perturbation=perturbation, **arguments))
        assert simulate(snn, [[1, 0.5]]).spike_times["dense"] == pytest.approx(0.25, abs=0.01)


def test_float32_network():
    snn = keras.Sequential(
        [keras.Input((20,)), tk.TTFSEncoder(), tk.TTFSDense(15), tk.TTFSDense(12), tk.TTFSReadout(3)]
    )
    x = images(30, 20)
    widen(snn, x)
    assert_agrees(snn, x, tolerance=tolerances.FLOAT32)


def test_inputs_of_other_ranks_and_shapes():
    snn = chain(
        (6, 4),
        keras.layers.Permute((2, 1), **FLOAT64),
        dense(5, "dense"),
        keras.layers.Reshape((-1, 2), **FLOAT64),
        readout(),
        keras.layers.Activation("sigmoid", **FLOAT64),
    )
    x = images(3, 6, 4)
    widen(snn, x)
    assert assert_agrees(snn, x).outputs.shape == (3, 10, 3)


def test_images_of_unknown_size_and_outputs_that_are_spikes():
    snn = chain((None, None, 2), conv(3, 3, "conv", padding="same", strides=2))
    x = images(2, 5, 7, 2)
    widen(snn, x)
    result = assert_agrees(snn, x)
    silent = np.isinf(result.spike_times["conv"])
    assert (result.outputs[silent] == 0).all() and (result.outputs[~silent] > 0).all()


def test_chunks_change_nothing(monkeypatch):
    snn = chain((5, 5, 4), conv(6, 3, "conv", groups=2), keras.layers.Flatten(**FLOAT64), readout())
    x = images(4, 5, 5, 4)
    widen(snn, x)
    whole = simulate(snn, x)
    for name in ("_MEMBRANES", "_SPIKES"):
        monkeypatch.setattr(simulation, name, 1)
        parts = simulate(snn, x)
        np.testing.assert_array_equal(parts.outputs, whole.outputs)
        np.testing.assert_array_equal(parts.spike_times["conv"], whole.spike_times["conv"])
        monkeypatch.undo()


def oracle(snn, x, armed):
    """Simulate dense layers one neuron at a time, by closed form and bisection."""
    times = np.where(x > 0, 1 - x, np.inf)
    start, stop = 0.0, 1.0
    found, premature, saturated = {"encoder": times}, 0, 0
    for layer in snn.layers[1:]:
        w, offsets = (np.asarray(part) for part in layer.physical_weights((None, times.shape[1])))
        initial = layer.parameterization.initial_slope
        slope = 1 + w.sum(axis=0) if initial else np.ones(w.shape[1])
        if isinstance(layer, tk.TTFSReadout):
            return found, (np.where(np.isinf(times), 0, stop - times) @ w + offsets) / slope, premature, saturated
        width = float(layer.window.numpy())
        theta = slope * width + initial * (stop - start) - offsets
        spikes = np.full((len(x), w.shape[1]), np.inf)
        for sample, neuron in np.ndindex(spikes.shape):
            ramps = np.append(initial, w[:, neuron])
            crossing, potential = closed_form(times[sample], ramps, theta[neuron], start, stop)
            premature += np.isfinite(crossing)
            saturated += potential > theta[neuron]
            time = stop + max(theta[neuron] - potential, 0) / slope[neuron]
            time = time if armed else min(time, crossing)
            spikes[sample, neuron] = time if time < stop + width else np.inf
        times, start, stop = spikes, stop, stop + width
        found[layer.name] = times
    raise AssertionError("no read-out")


@pytest.mark.parametrize("armed", [False, True])
@pytest.mark.parametrize("parameterization", ["b1", "alpha1"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_narrow_windows_agree_with_an_oracle(parameterization, armed, seed):
    """Premature spikes in the first layers, the second driven by those of the first; some are saturated."""
    kernel = keras.initializers.RandomNormal(stddev=0.5, seed=seed)
    arguments = {
        "window": 0.3, "parameterization": parameterization,
        "kernel_initializer": kernel if parameterization == "b1" else tk.SmartAlpha1(kernel),
    }  # fmt: skip
    snn = chain((6,), *(dense(6, name, **arguments) for name in "abc"), readout(parameterization=parameterization))
    x = images(5, 6, seed=seed)
    times, outputs, premature, saturated = oracle(snn, x, armed)
    result = simulate(snn, x, armed=armed)
    assert (result.premature_spikes, result.saturated_spikes) == (premature, saturated)
    assert result.premature_by_layer["b"] and saturated
    assert_same_times(snn, result.spike_times, times)
    np.testing.assert_allclose(result.outputs, outputs, rtol=0, atol=tolerances.SIMULATOR)
    if armed:
        # Held until its window opens, a neuron does what the fast path computes.
        assert_agrees(snn, x, premature=premature, armed=True)
    else:
        assert np.abs(result.outputs - snn(x)).max() > tolerances.FLOAT32


# An early excitatory spike, then a stronger late inhibitory one: V(t) = 2 t up to 0.5, then back to 0 at t_min = 1.
PREMATURE = synapses(2.0, -4.0, offsets=[0.0])


def test_premature_spike_by_hand():
    snn = chain(
        (2,),
        dense(1, "early", window=0.5, **PREMATURE),
        dense(1, "late", window=2.0, **synapses(1.0, offsets=[0.0])),
        readout(1, **synapses(3.0, offsets=[0.25])),
    )
    x = np.array([[1, 0.5]])
    assert latency(snn) == 3.5
    result = simulate(snn, x)
    # Threshold 0.5 is crossed at 0.25. `late` integrates that spike from 0.25 on, long before its t_min_prev = 1:
    # V(1.5) = 1.25, threshold 2, so it fires 0.75 after 1.5; the read-out ends at 0.25 + 3 (3.5 - 2.25).
    assert result.spike_times["early"] == 0.25
    assert result.spike_times["late"] == 2.25
    assert result.outputs == 4.0
    assert result.premature_by_layer == {"early": 1, "late": 0} and result.saturated_spikes == 0

    assert np.isinf(spike_times(snn, x)["early"]), "the fast path does not see it"
    held = assert_agrees(snn, x, premature=1, armed=True)
    assert np.isinf(held.spike_times["early"]) and held.outputs == 0.25


def test_saturated_spike_by_hand():
    snn = chain((1,), dense(1, "dense", window=1.5, **synapses(2.0, offsets=[0.0])))
    result = simulate(snn, [[1]])
    # V(1) = 2 > 1.5; the membrane passed threshold at 0.75.
    assert result.spike_times["dense"] == 0.75
    assert (result.premature_spikes, result.saturated_spikes) == (1, 1)
    held = assert_agrees(snn, np.ones((1, 1)), premature=1, armed=True)
    assert held.spike_times["dense"] == 1 and held.saturated_spikes == 1


def test_exactly_at_threshold_when_the_window_opens():
    snn = chain((1,), dense(1, "dense", window=2.0, **synapses(2.0, offsets=[0.0])))
    result = assert_agrees(snn, np.ones((1, 1)))
    assert result.spike_times["dense"] == 1 and result.saturated_spikes == 0


def test_windows_without_margin_are_not_premature_by_rounding():
    kernel = keras.initializers.RandomUniform(0, 0.3)
    arguments = {
        "window": 1e-3, "window_rule": tk.GrowToMaximum(0), "kernel_initializer": kernel, "bias_initializer": "zeros"
    }  # fmt: skip
    snn = chain((30,), *(dense(40, f"dense{i}", **arguments) for i in range(4)), readout())
    x = images(20, 30)
    snn(x, training=True)
    result = assert_agrees(snn, x)
    assert result.saturated_spikes == 0


def test_offset_alone_fires():
    snn = chain((1,), dense(2, "dense", window=1.0, **synapses(0.0, 0.0, offsets=[0.25, -0.25])))
    assert assert_agrees(snn, np.ones((1, 1))).spike_times["dense"].tolist() == [[1.75, np.inf]]


def test_clipped_inputs_are_counted():
    snn = chain((4,), dense(2, "dense"), input_range=(-1, 1))
    result = simulate(snn, [[-1, 1, 1.5, -2], [0, 0, 0, 9]])
    assert result.clipped_inputs == 3
    assert result.spike_times["encoder"].tolist() == [[np.inf, 0, 0, np.inf], [0.5, 0.5, 0.5, 0]]


def test_result_cannot_be_changed():
    result = simulate(chain((4,), dense(2, "dense")), images(1, 4))
    with pytest.raises(AttributeError):
        result.outputs = 0


def test_unsupported_layers_are_all_listed():
    inputs = keras.Input((4, 4, 2), name="pixels")
    lead = tk.TTFSEncoder(name="encoder")(keras.layers.Rescaling(2.0, name="rescaling")(inputs))
    norm = keras.layers.LayerNormalization(name="norm")(lead)
    relu = keras.layers.Activation("relu", name="relu")(norm)
    pool = tk.TTFSMaxPooling2D(1, data_format="channels_first", name="pool")(lead)
    signed = keras.layers.MaxPooling2D(1, name="signed")(keras.layers.Conv2D(2, 1, name="linear")(lead))
    flat = keras.layers.Flatten(name="flat")(keras.layers.Add(name="sum")([relu, pool, signed]))
    head = keras.layers.Softmax(name="softmax")(tk.TTFSReadout(2, name="readout")(flat))
    with pytest.raises(ValueError, match="cannot run these layers") as error:
        simulate(keras.Model(inputs, tk.TTFSReadout(2, name="again")(head)), np.zeros((1, 4, 4, 2)))
    assert sorted(str(error.value).splitlines()[1:]) == [
        "  again (TTFSReadout): stands behind softmax, which is not known to be linear",
        "  pool (TTFSMaxPooling2D): data_format is not channels_last",
        "  readout (TTFSReadout): stands behind norm, which is not known to be linear",
        "  signed (MaxPooling2D): takes spikes but is fed potentials",
    ]


def test_layers_need_the_input_that_they_take():
    snn = keras.Sequential([keras.Input((4,)), tk.TTFSDense(2, name="dense"), keras.layers.Softmax(name="softmax")])
    with pytest.raises(ValueError, match=r"Expected a TTFSEncoder before every spiking layer. 'dense' has none"):
        simulate(snn, np.zeros((1, 4)))


def test_a_softmax_of_spikes_takes_their_lead_times():
    x = np.array([[0.0, 0.25, 0.5, 1.0]])
    expected = np.exp(x) / np.exp(x).sum()
    np.testing.assert_allclose(simulate(chain((4,), keras.layers.Softmax()), x).outputs, expected, rtol=1e-12)


def test_slopes_that_are_not_positive_are_refused():
    arguments = {"parameterization": "alpha1", "kernel_initializer": keras.initializers.Constant(-0.5)}
    snn = chain((3,), dense(4, "first", **arguments), dense(2, "second"), readout(5, **arguments))
    with pytest.raises(ValueError, match="no physical counterpart") as error:
        simulate(snn, images(1, 3))
    assert str(error.value).splitlines()[1:] == [
        "  first: slope B <= 0 for 4 of 4 neurons",
        "  readout: slope B <= 0 for 5 of 5 neurons",
    ]


def test_weights_and_windows_must_be_physical():
    snn = chain((3,), dense(2, "dense"), readout())
    snn.get_layer("dense").window.assign(0)
    with pytest.raises(ValueError, match="dense: window of no width"):
        simulate(snn, images(1, 3))
    snn.get_layer("dense").window.assign(np.nan)
    with pytest.raises(ValueError, match="dense: weights, offsets and window must be finite"):
        simulate(snn, images(1, 3))
    snn.get_layer("dense").window.assign(1)
    snn.get_layer("readout").bias.assign([0, np.inf, 0])
    with pytest.raises(ValueError, match="readout: weights, offsets and window must be finite"):
        simulate(snn, images(1, 3))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.array([[0, np.nan]]), "1 of 2 that are NaN"),
        (np.zeros((1, 3)), r"Received: \(1, 3\)"),
        ([["a", "b"]], "numbers"),
    ],
)
def test_bad_inputs_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        simulate(chain((2,), readout()), x)


def test_several_inputs_and_outputs():
    first, second = keras.Input((2,), dtype="float64"), keras.Input((3,), dtype="float64")
    leads = [tk.TTFSEncoder(dtype="float64")(first), tk.TTFSEncoder(dtype="float64")(second)]
    both = keras.layers.Concatenate(dtype="float64")(leads)
    hidden = tk.TTFSDense(4, window=9.0, name="hidden", dtype="float64")(both)
    snn = keras.Model([first, second], [tk.TTFSReadout(2, dtype="float64")(hidden), hidden])
    x = [images(5, 2), images(5, 3)]
    result = simulate(snn, x)
    for received, expected in zip(result.outputs, snn(x), strict=True):
        np.testing.assert_allclose(received, expected, atol=tolerances.SIMULATOR)
    with pytest.raises(ValueError, match="expected 2 inputs"):
        simulate(snn, x[:1])
