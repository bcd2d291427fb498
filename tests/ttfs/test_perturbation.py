import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import ttfs_keras as tk
from tests.layer_harness import lead_times, randomize
from tests.tolerances import FLOAT64
from ttfs_keras.ttfs import perturbation
from ttfs_keras.ttfs.perturbation import EarlyClosing

SPIKE_PERTURBATIONS = [tk.SpikeTimeJitter(0.3, seed=1), tk.TimeQuantization(2)]

weight_arrays = hnp.arrays("float64", (5, 4), elements=st.floats(-3, 3))
offset_arrays = hnp.arrays("float64", (4,), elements=st.floats(-3, 3))


def built(item, owner="owner"):
    item = perturbation.get(item, owner)[0]
    item.build((None, 4))
    return item


def perturbed(item, values, window):
    return item.perturb_spikes(tf.constant(values), tf.constant(window, values.dtype)).numpy()


@settings(deadline=None, max_examples=50)
@given(
    window=st.floats(0.01, 1e4),
    stddev=st.floats(0, 10),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 2**31 - 1),
)
def test_jitter_never_moves_silence_and_keeps_spikes_inside_the_window(window, stddev, dtype, seed):
    window = np.array(window, dtype)
    lead = lead_times((20, 7), seed, dtype=dtype) * window
    lead[0] = window
    moved = perturbed(built(tk.SpikeTimeJitter(stddev, seed)), lead, window)
    np.testing.assert_array_equal(moved == 0, lead == 0)
    assert (moved >= 0).all() and (moved <= window).all()


def test_jitter_has_its_standard_deviation():
    lead = np.full((200, 500), 50.0)
    moved = perturbed(built(tk.SpikeTimeJitter(0.5, seed=1)), lead, 100.0)
    np.testing.assert_allclose([moved.mean() - 50, moved.std()], [0, 0.5], rtol=0, atol=0.01)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_early_closing_silences_lead_times_up_to_its_threshold(dtype):
    lead = np.array([[0.0, 0.25, 0.5, np.nextafter(np.array(0.5, dtype), np.array(1, dtype)), 2.0]], dtype)
    closed = perturbed(built(EarlyClosing(0.5)), lead, 2.0)
    np.testing.assert_array_equal(closed, np.where(lead > 0.5, lead, 0))
    assert closed.dtype == dtype


def test_early_closing_is_relu_with_a_threshold_and_has_its_gradient():
    layer = tk.TTFSNeuron(window=10.0, perturbation=EarlyClosing(0.7), dtype="float64")
    relu = keras.layers.ReLU(threshold=0.7, dtype="float64")
    potential = tf.constant(np.random.default_rng(0).normal(0, 2, (50, 4)))
    results = []
    for function in (layer, relu):
        with tf.GradientTape() as tape:
            tape.watch(potential)
            result = function(potential)
        results.append((result, tape.gradient(result, potential)))
    for received, expected in zip(*results, strict=True):
        np.testing.assert_allclose(received, expected, rtol=0, atol=FLOAT64)


def test_early_closing_is_saved_with_the_layer_that_holds_it():
    layer = tk.TTFSDense(3, perturbation=[EarlyClosing(0.7), tk.TimeQuantization(3)])
    copy = type(layer).from_config(layer.get_config())
    assert [type(item) for item in copy.perturbations] == [EarlyClosing, tk.TimeQuantization]
    assert copy.perturbations[0].threshold == 0.7


@pytest.mark.parametrize("threshold", [0, -1.0, float("nan")])
def test_early_closing_needs_a_positive_threshold(threshold):
    with pytest.raises(ValueError, match="Expected threshold > 0"):
        EarlyClosing(threshold)


@pytest.mark.parametrize("item", [None, [], tk.SpikeTimeJitter(0.0)])
@pytest.mark.parametrize("training", [False, True])
def test_no_noise_is_no_change(item, training):
    outputs = []
    for given_item in (None, item):
        layer = tk.TTFSDense(4, perturbation=given_item, kernel_initializer=keras.initializers.HeNormal(1))
        outputs.append(layer(lead_times((6, 5), dtype="float32"), training=training).numpy())
    np.testing.assert_array_equal(*outputs)


def test_jitter_draws_anew_at_every_call_and_the_same_from_the_same_state():
    lead, item, twin = lead_times((6, 5)), *(built(tk.SpikeTimeJitter(0.1, seed=3)) for _ in range(2))
    first, second = (perturbed(item, lead, 1.0) for _ in range(2))
    assert (first != second).any()
    np.testing.assert_array_equal(perturbed(twin, lead, 1.0), first)
    np.testing.assert_array_equal(perturbed(twin, lead, 1.0), second)
    item.draws.assign(0)
    np.testing.assert_array_equal(perturbed(item, lead, 1.0), first)


@pytest.mark.parametrize(("seeds", "owners"), [((1, 2), "aa"), ((1, 1), "ab"), ((None, None), "aa")])
def test_jitter_of_other_layers_and_other_seeds_draws_other_numbers(seeds, owners):
    draws = [
        perturbed(built(tk.SpikeTimeJitter(0.1, seed), owner), lead_times((6, 5), silent=0), 1.0)
        for seed, owner in zip(seeds, owners, strict=True)
    ]
    assert (draws[0] != draws[1]).mean() > 0.8


def test_one_object_given_to_many_layers_is_copied():
    item = tk.SpikeTimeJitter(0.2)
    layers = [tk.TTFSDense(4, perturbation=item, name=name) for name in "ab"]
    copies = [layer.perturbations[0] for layer in layers]
    assert item is not copies[0] is not copies[1]
    assert copies[0].owner != copies[1].owner
    assert copies[0].seed == copies[1].seed == item.seed


def test_a_saved_model_goes_on_with_its_sequence_of_draws(tmp_path):
    model = keras.Sequential([keras.Input((5,)), tk.TTFSDense(4, perturbation=tk.SpikeTimeJitter(0.3))])
    lead = lead_times((6, 5), silent=0, dtype="float32")
    model(lead)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for _ in range(2):
        np.testing.assert_array_equal(loaded(lead), model(lead))


@pytest.mark.parametrize("item", SPIKE_PERTURBATIONS)
def test_spike_gradients_pass_as_if_nothing_had_happened(item):
    lead = tf.constant(lead_times((6, 5)))
    item = built(item)
    with tf.GradientTape() as tape:
        tape.watch(lead)
        moved = item.perturb_spikes(lead, tf.constant(1.0, tf.float64))
    upstream = tf.constant(np.random.default_rng(0).normal(size=(6, 5)))
    assert (moved.numpy() != lead.numpy()).any()
    np.testing.assert_array_equal(tape.gradient(moved, lead, upstream), upstream)


@pytest.mark.parametrize("per_channel", [False, True])
def test_weight_gradients_pass_as_if_nothing_had_happened(per_channel):
    weights, offsets = (tf.constant(np.random.default_rng(0).normal(size=shape)) for shape in ((5, 4), (4,)))
    item = built(tk.WeightQuantization(3, per_channel=per_channel))
    with tf.GradientTape() as tape:
        tape.watch([weights, offsets])
        coarse = item.perturb_weights(weights, offsets)
    for gradient in tape.gradient(coarse, [weights, offsets]):
        np.testing.assert_array_equal(gradient, np.ones(gradient.shape))


@settings(deadline=None, max_examples=50)
@given(
    bits=st.integers(1, 12),
    window=st.floats(0.01, 1e4),
    share=hnp.arrays("float64", (30,), elements=st.floats(0, 1)),
)
def test_times_round_to_the_nearest_of_2_to_the_bits_steps(bits, window, share):
    lead, step = share * window, window / 2**bits
    coarse = perturbed(built(tk.TimeQuantization(bits)), lead, window)
    ticks = np.round(coarse / step)
    np.testing.assert_array_equal(coarse, ticks * step)
    assert (ticks >= 0).all() and (ticks <= 2**bits).all()
    assert (abs(coarse - lead) <= step / 2 * (1 + FLOAT64)).all()


def test_times_round_half_a_step_before_the_end_to_silence():
    coarse = perturbed(built(tk.TimeQuantization(2)), np.array([0.0, 0.12, 0.13, 0.87, 0.88, 1.0]), 1.0)
    np.testing.assert_array_equal(coarse, [0, 0, 0.25, 0.75, 1, 1])


@settings(deadline=None, max_examples=50)
@given(
    bits=st.integers(1, 8),
    low=st.floats(-2, 0),
    high=st.floats(0.01, 2),
    weights=weight_arrays,
    offsets=offset_arrays,
)
def test_weights_and_offsets_lie_on_levels_that_contain_zero(bits, low, high, weights, offsets):
    item = built(tk.WeightQuantization(bits, low, high))
    step = (high - low) / (2**bits - 1)
    zero = np.round(-low / step)
    for values, coarse in zip((weights, offsets), item.perturb_weights(weights, offsets), strict=True):
        coarse = coarse.numpy()
        assert len(np.unique(coarse)) <= 2**bits
        assert (coarse[values == 0] == 0).all()
        expected = (np.clip(np.round(values / step) + zero, 0, 2**bits - 1) - zero) * step
        np.testing.assert_allclose(coarse, expected, rtol=0, atol=FLOAT64)
        # The levels are the range, moved by at most half a step so that one of them is 0.
        assert (coarse >= low - step / 2 - FLOAT64).all() and (coarse <= high + step / 2 + FLOAT64).all()
        inside = (values >= low + step / 2) & (values <= high - step / 2)
        assert (abs(coarse - values)[inside] <= step / 2 + FLOAT64).all()


@settings(deadline=None, max_examples=50)
@given(bits=st.integers(2, 8), weights=weight_arrays, offsets=offset_arrays)
def test_levels_per_channel_span_each_neurons_own_range(bits, weights, offsets):
    item = built(tk.WeightQuantization(bits, per_channel=True))
    coarse, coarse_offsets = (values.numpy() for values in item.perturb_weights(weights, offsets))
    for values, rounded in [*zip(weights.T, coarse.T, strict=True), (offsets, coarse_offsets)]:
        step = (max(values.max(), 0) - min(values.min(), 0)) / (2**bits - 1)
        assert len(np.unique(rounded)) <= 2**bits
        assert (abs(rounded - values) <= step + FLOAT64).all()
        assert (rounded[values == 0] == 0).all()


def test_channels_of_a_convolution_are_its_filters():
    weights = np.random.default_rng(0).normal(size=(3, 3, 2, 4)) * [1, 10, 100, 0]
    coarse = built(tk.WeightQuantization(2, per_channel=True)).perturb_weights(weights, None)[0].numpy()
    assert [len(np.unique(coarse[..., channel])) for channel in range(4)] == [4, 4, 4, 1]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda item: tk.TTFSDense(4, perturbation=item, window=100.0, dtype="float64"), (5,)),
        (lambda item: tk.TTFSReadout(4, perturbation=item, dtype="float64"), (5,)),
        (lambda item: tk.TTFSConv2D(4, 3, perturbation=item, window=100.0, dtype="float64"), (4, 4, 2)),
    ],
)
def test_weight_bits_act_in_training_and_in_evaluation_alike(layer, shape, training):
    coarse, plain = layer(tk.WeightQuantization(3)), layer(None)
    for item in (coarse, plain):
        item.build((None, *shape))
        randomize(item)
    inputs = lead_times((6, *shape))
    assert abs(coarse(inputs, training=training) - plain(inputs, training=training)).numpy().max() > 0.01
    plain.kernel.assign(coarse.physical_weights((None, *shape))[0])
    plain.bias.assign(coarse.physical_weights((None, *shape))[1])
    np.testing.assert_array_equal(coarse(inputs, training=training), plain(inputs, training=training))
    assert len(np.unique(plain.kernel.numpy())) <= 8 and len(np.unique(plain.bias.numpy())) <= 8


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("item", SPIKE_PERTURBATIONS)
def test_spike_perturbations_act_in_training_and_in_evaluation_alike(item, training):
    layer = tk.TTFSNeuron(2.0, perturbation=item, window_rule=tk.FixedWindow(), dtype="float64")
    lead = lead_times((6, 5))
    twin = built(item, layer.name)
    np.testing.assert_array_equal(layer(lead, training=training), perturbed(twin, lead, 2.0))


def test_perturbations_survive_a_config_round_trip():
    items = [tk.SpikeTimeJitter(0.1, seed=5), tk.TimeQuantization(3), tk.WeightQuantization(4, -2, 3, True)]
    found = perturbation.get(perturbation.serialize(perturbation.get(items, "owner")), "owner")
    assert [item.get_config() for item in found] == [item.get_config() for item in items]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tk.SpikeTimeJitter(-0.1), "standard deviation >= 0"),
        (lambda: tk.SpikeTimeJitter(float("nan")), "standard deviation >= 0"),
        (lambda: tk.WeightQuantization(4, w_min=0.1), "w_min <= 0 <= w_max"),
        (lambda: tk.WeightQuantization(4, w_max=-0.1), "w_min <= 0 <= w_max"),
        (lambda: tk.WeightQuantization(4, 0, 0), "w_min < w_max"),
        (lambda: perturbation.get("jitter", "owner"), "perturbation: expected None"),
        (lambda: perturbation.get([0.1], "owner"), "perturbation: expected None"),
        (
            lambda: perturbation.get(keras.saving.serialize_keras_object(tk.FixedWindow()), "owner"),
            "perturbation: expected None",
        ),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("make", [tk.TimeQuantization, tk.WeightQuantization])
@pytest.mark.parametrize("bits", [0, -1, 2.5, 25])
def test_bits_that_are_not_a_whole_number_from_1_to_24_are_refused(make, bits):
    with pytest.raises(ValueError, match="whole number of bits"):
        make(bits)


@pytest.mark.parametrize("make", [tk.TimeQuantization, tk.WeightQuantization])
def test_whole_numbers_of_bits_of_any_type_are_kept_as_int(make):
    assert [type(make(bits).bits) for bits in (4, 4.0, np.int64(4))] == [int] * 3
