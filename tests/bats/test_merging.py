import numpy as np
import pytest
import tensorflow as tf

from tests.bats.harness import (
    assert_gradients_agree,
    differences_of,
    gradient_of,
    run_train_layer_test,
    spike_trains,
)
from ttfs_keras.bats.bias import BiasNeuron
from ttfs_keras.bats.merging import ConcatenateSpikes, FlattenSpikes, MergeSpikes


def of_other(layer, other):
    """Merge a tensor with a constant."""
    return lambda times: layer([times, tf.constant(other)])


@pytest.mark.parametrize(
    ("kind", "shape"), [(FlattenSpikes, (3, 2, 3, 4, 2)), (BiasNeuron, (3, 4, 2)), (BiasNeuron, (3, 2, 3, 4, 2))]
)
def test_layers_of_one_input_are_well_behaved(kind, shape, tmp_path):
    run_train_layer_test(lambda: kind(dtype="float64"), spike_trains(shape), tmp_path)


@pytest.mark.parametrize(
    ("kind", "shapes"),
    [
        (ConcatenateSpikes, [(3, 4, 2), (3, 5, 1), (3, 1, 3)]),
        (ConcatenateSpikes, [(3, 2, 3, 4, 2), (3, 2, 3, 1, 1)]),
        (MergeSpikes, [(3, 2, 3, 4, 2), (3, 2, 3, 4, 1)]),
    ],
)
def test_layers_of_several_inputs_are_well_behaved(kind, shapes, tmp_path):
    trains = [spike_trains(shape, seed) for seed, shape in enumerate(shapes)]
    run_train_layer_test(lambda: kind(dtype="float64"), trains, tmp_path)


def test_flatten_keeps_trains_and_their_order():
    trains = spike_trains((2, 3, 4, 5, 2))
    np.testing.assert_array_equal(FlattenSpikes(dtype="float64")(trains), trains.reshape(2, 60, 2))
    assert FlattenSpikes().compute_output_shape((None, None, 4, 5, 2)) == (None, None, 2)


def test_concatenate_pads_to_the_longest_train():
    a, b = spike_trains((2, 3, 2)), spike_trains((2, 1, 4), seed=1)
    padded = np.concatenate([a, np.full((2, 3, 2), np.inf)], axis=-1)
    layer = ConcatenateSpikes(dtype="float64")
    np.testing.assert_array_equal(layer([a, b]), np.concatenate([padded, b], axis=1))
    upstream = np.random.default_rng(0).normal(size=(2, 4, 4))
    np.testing.assert_array_equal(gradient_of(of_other(layer, b), a, upstream), upstream[:, :3, :2])


def test_merge_is_the_sorted_union_and_its_gradient_goes_back():
    a, b = spike_trains((3, 4, 2)), spike_trains((3, 4, 3), seed=1)
    layer = MergeSpikes(dtype="float64")
    np.testing.assert_array_equal(layer([a, b]), np.sort(np.concatenate([a, b], axis=-1)))
    upstream = np.random.default_rng(0).normal(size=(3, 4, 5))
    for merged, times in ((of_other(layer, b), a), (of_other(layer, a), b)):
        gradient = gradient_of(merged, times, upstream)
        assert_gradients_agree(gradient, differences_of(merged, times, upstream, step=1e-7))
        assert not gradient[np.isinf(times)].any()


def test_bias_spikes_once_at_0():
    trains = spike_trains((2, 3, 3))
    times = BiasNeuron(dtype="float64")(trains).numpy()
    np.testing.assert_array_equal(times[:, :3], trains)
    np.testing.assert_array_equal(times[:, 3], np.tile([0, np.inf, np.inf], (2, 1)))
    upstream = np.random.default_rng(0).normal(size=(2, 4, 3))
    np.testing.assert_array_equal(gradient_of(BiasNeuron(dtype="float64"), trains, upstream), upstream[:, :3])


@pytest.mark.parametrize(
    ("layer", "shapes", "message"),
    [
        (FlattenSpikes, (2, 3), r"expects spike trains \(batch, neurons..., K\) of known K. Received: shape=\(2, 3\)"),
        (BiasNeuron, (2, 3), r"expects spike trains .* Received: shape=\(2, 3\)"),
        (ConcatenateSpikes, [(2, 3, 4, 1), (2, 4, 4, 1)], r"differ on their last two axes only. Received: .*\(2, 4, 4"),
        (ConcatenateSpikes, [(2, 3, 4, 1), (2, 4, 1)], "differ on their last two axes only"),
        (ConcatenateSpikes, (2, 3, 4, 1), "expects a list of spike trains"),
        (MergeSpikes, [(2, 3, 1), (2, 4, 1)], r"trains of the same neurons. Received: shapes \[\(2, 3, 1\), \(2, 4"),
        (MergeSpikes, [(2, 3, 1), (2, 3, 1, 1)], "trains of the same neurons"),
        (MergeSpikes, [], "expects a list of spike trains"),
        (MergeSpikes, [(2, 3, None), (2, 3, 1)], "of known K"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(layer, shapes, message):
    with pytest.raises(ValueError, match=message):
        layer().build(shapes)


def test_unknown_sizes_fit_all():
    MergeSpikes().build([(None, None, 3, 1), (None, 4, 3, 2)])
    with pytest.raises(ValueError, match="same neurons"):
        MergeSpikes().build([(None, None, 3, 1), (None, 4, 2, 2)])
