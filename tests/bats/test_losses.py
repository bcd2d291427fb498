import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.bats.harness import assert_gradients_agree, differences_of, gradient_of, spike_trains
from tests.bats.tolerances import GOLDEN
from tests.tolerances import FLOAT32, FLOAT64
from ttfs_keras.bats.losses import Decay, SpikeCount, SpikeTime, TTFSSoftmaxCrossEntropy

INF = np.inf
LOSSES = {
    "softmax": lambda **k: TTFSSoftmaxCrossEntropy(0.05, **k),
    "softmax, silent time": lambda **k: TTFSSoftmaxCrossEntropy(0.05, silent_time=0.3, **k),
    "count": lambda **k: SpikeCount(3, 1, **k),
    "time": lambda **k: SpikeTime(0.02, 0.2, silent_time=0.3, **k),
    "decay": lambda **k: Decay(6.0, 2.0, 0.5, **k),
    "decay of the fork": lambda **k: Decay(6.0, 2.0, 0.5, exact=False, **k),
}
EXACT = ["softmax", "softmax, silent time", "time", "decay"]  # gradients that are gradients


def oracle(name, labels, trains):
    """The losses of each sample, as they are written down."""
    losses = []
    for label, sample in zip(labels, trains, strict=True):
        first, target = sample.min(-1), np.arange(len(sample)) == label
        if name.startswith("softmax"):
            if name.endswith("silent time"):
                first = np.minimum(first, 0.3)
            weights = np.exp(-first / 0.05)
            losses.append(-np.log(weights[label] / weights.sum()) if first[label] < INF else 0.0)
        elif name == "count":
            losses.append(0.5 * np.sum((np.where(target, 3, 1) - np.isfinite(sample).sum(-1)) ** 2))
        elif name == "time":
            losses.append(0.5 * np.sum((np.where(target, 0.02, 0.2) - np.minimum(first, 0.3)) ** 2))
        else:
            losses.append(0.5 * np.sum((np.where(target, 2.0, 0.5) - np.exp(-6 * sample).sum(-1)) ** 2))
    return np.array(losses)


def per_sample(name):
    return LOSSES[name](dtype="float64", reduction=None)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("column", [False, True])
def test_values_and_reduction(name, column):
    trains = spike_trains((6, 4, 3), silent=0.4)
    labels = np.array([0, 1, 2, 3, 0, 1])
    expected = oracle(name, labels, trains)
    labels = labels[:, None] if column else labels
    np.testing.assert_allclose(per_sample(name)(labels, trains), expected, rtol=FLOAT64, atol=FLOAT64)
    for reduction, total in (("sum_over_batch_size", expected.mean()), ("sum", expected.sum())):
        loss = LOSSES[name](dtype="float64", reduction=reduction)
        np.testing.assert_allclose(loss(labels, trains), total, rtol=FLOAT64)
    np.testing.assert_allclose(LOSSES[name]()(labels, trains), expected.mean(), rtol=FLOAT32)


@pytest.mark.parametrize("name", EXACT)
def test_gradients_are_those_of_the_losses(name):
    trains, labels = spike_trains((5, 4, 3), silent=0.4, seed=3), np.array([0, 1, 2, 3, 0])

    def losses(times):
        return per_sample(name)(labels, times)

    upstream = np.random.default_rng(0).normal(size=5)
    gradient = gradient_of(losses, trains, upstream)
    assert_gradients_agree(gradient, differences_of(losses, trains, upstream))
    assert gradient.any() and not gradient[np.isinf(trains)].any()


@pytest.mark.parametrize("name", ["count", "decay of the fork"])
def test_surrogate_gradients_are_target_minus_value_for_every_spike(name):
    trains, labels = spike_trains((5, 4, 3), silent=0.4), np.array([0, 1, 2, 3, 0])
    is_label = labels[:, None] == np.arange(4)
    if name == "count":
        error = np.where(is_label, 3, 1) - np.isfinite(trains).sum(-1)
    else:
        error = np.where(is_label, 2.0, 0.5) - np.exp(-6 * trains).sum(-1)
    gradient = gradient_of(lambda times: per_sample(name)(labels, times), trains)
    np.testing.assert_allclose(gradient, np.where(np.isfinite(trains), error[..., None], 0), rtol=0, atol=FLOAT64)


def test_golden_numbers_of_the_softmax():
    trains = np.array([[0.1, 0.2, INF, 0.3], [0.4, 1, 0.9, 0.5]])[..., None]
    labels = np.array([3, 0])
    loss = TTFSSoftmaxCrossEntropy(0.2, dtype="float64", reduction=None)
    np.testing.assert_allclose(loss(labels, trains), [1.680269671, 0.552966718], rtol=0, atol=GOLDEN)
    gradient = gradient_of(lambda times: loss(labels, times), trains)[..., 0]
    expected = [[-2.532401955, -1.535979429, 0, 4.068381384], [2.123796504, -0.14319774, -0.23609316, -1.744505604]]
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=GOLDEN)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_cannot_underflow(dtype):
    # exp(-1/0.005) is 1e-87, and all of them are later than that.
    loss = TTFSSoftmaxCrossEntropy(0.005, dtype=dtype)
    trains = tf.constant([[[5.0], [5.001], [9.0]]], dtype)
    for label, expected in ((0, np.log(1 + np.exp(-0.2))), (2, 800 + np.log(1 + np.exp(-0.2)))):
        with tf.GradientTape() as tape:
            tape.watch(trains)
            value = loss(np.array([label]), trains)
        np.testing.assert_allclose(value, expected, rtol=FLOAT32)
        gradient = tape.gradient(value, trains).numpy().ravel()
        p = np.array([1, np.exp(-0.2), 0]) / (1 + np.exp(-0.2))
        np.testing.assert_allclose(gradient, ((np.arange(3) == label) - p) / 0.005, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", LOSSES)
def test_all_silent(name):
    trains = np.full((3, 4, 2), INF)
    labels = np.array([0, 1, 3])
    np.testing.assert_allclose(per_sample(name)(labels, trains), oracle(name, labels, trains), rtol=0, atol=FLOAT64)
    assert not gradient_of(lambda times: per_sample(name)(labels, times), trains).any()


def test_a_silent_label_has_no_softmax_loss_unless_silence_has_a_time():
    trains, labels = np.array([[[0.1], [INF], [0.2]]]), np.array([1])

    def losses(times, silent_time):
        return TTFSSoftmaxCrossEntropy(0.1, silent_time, dtype="float64")(labels, times)

    assert losses(trains, None) == 0 and not gradient_of(lambda times: losses(times, None), trains).any()
    np.testing.assert_allclose(losses(trains, 0.5), np.log(1 + np.exp(4) + np.exp(3)), rtol=FLOAT64)
    gradient = gradient_of(lambda times: losses(times, 0.5), trains).ravel()
    assert gradient[0] < gradient[2] < 0 and gradient[1] == 0  # the others are to wait


@pytest.mark.parametrize("name", LOSSES)
def test_labels_that_are_no_class_are_never_passed_over(name):
    trains = spike_trains((3, 4, 2), silent=0)
    for wrong in (-1, 4):
        losses = per_sample(name)(np.array([0, wrong, 3]), trains).numpy()
        np.testing.assert_array_equal(np.isnan(losses), [False, True, False])


@pytest.mark.parametrize("name", LOSSES)
def test_configuration_round_trip(name):
    loss = LOSSES[name](dtype="float64", reduction="sum", name="mine")
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    loaded = keras.saving.deserialize_keras_object(saved)
    assert type(loaded) is type(loss) and loaded.get_config() == loss.get_config()
    assert (loaded.name, loaded.reduction, loaded.dtype) == ("mine", "sum", "float64")
    trains = spike_trains((6, 4, 3))
    assert loaded(np.zeros(6), trains) == loss(np.zeros(6), trains)


@pytest.mark.parametrize("name", LOSSES)
def test_sample_weights_and_empty_batches(name):
    trains, labels = spike_trains((4, 3, 2)), np.array([0, 1, 2, 0])
    weights = np.array([0.0, 1, 2, 0.5])
    expected = np.sum(weights * oracle(name, labels, trains)) / 4
    np.testing.assert_allclose(LOSSES[name](dtype="float64")(labels, trains, weights), expected, rtol=FLOAT64)
    assert per_sample(name)(labels[:0], trains[:0]).shape == (0,)


@pytest.mark.parametrize("name", LOSSES)
def test_labels_may_be_a_list(name):
    trains = spike_trains((3, 3, 2))
    make = LOSSES[name]
    assert make(dtype="float64")([0, 2, 1], trains) == make(dtype="float64")(np.array([0, 2, 1]), trains)


@pytest.mark.parametrize("labels", [np.zeros((3, 5)), np.zeros((3, 1, 1)), np.zeros(())])
def test_other_labels_are_refused(labels):
    with pytest.raises(
        ValueError, match=r"Expected labels \(batch,\), \(batch, 1\) or one-hot.* Received: labels of shape"
    ):
        SpikeCount(3, 0)(labels, spike_trains((3, 4, 2)))


def test_other_trains_are_refused():
    with pytest.raises(ValueError, match=r"spike trains \(batch, classes, K\).*trains of shape \(3, 4\)"):
        SpikeCount(3, 0)(np.zeros(3), np.zeros((3, 4)))


@pytest.mark.parametrize(
    ("make", "messages"),
    [
        (lambda: TTFSSoftmaxCrossEntropy(0, silent_time=-1), ["tau > 0, finite. Received: tau=0", "silent_time=-1"]),
        (lambda: SpikeCount(-1, INF), ["target_true >= 0, finite. Received: target_true=-1", "target_false=inf"]),
        (lambda: SpikeTime(1, "2", np.nan), ["target_false=2", "silent_time=nan"]),
        (lambda: Decay(-6, np.nan), ["rate=-6", "target_true=nan"]),
    ],
)
def test_all_bad_arguments_are_named_at_once(make, messages):
    with pytest.raises(ValueError) as error:
        make()
    assert all(message in str(error.value) for message in messages)


def test_half_precision_is_refused():
    with pytest.raises(ValueError, match=r"need dtype float32 or float64\. Received: dtype=float16"):
        SpikeCount(3, 0, dtype="float16")


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_labels_may_be_one_hot(name, dtype):
    trains, labels = spike_trains((6, 4, 3), silent=0.4), np.array([0, 1, 2, 3, 0, 1])
    one_hot = np.eye(4)[labels].astype(dtype)
    np.testing.assert_array_equal(per_sample(name)(one_hot, trains), per_sample(name)(labels, trains))


@pytest.mark.parametrize("name", LOSSES)
def test_rows_that_are_not_one_hot_are_never_passed_over(name):
    rows = np.array([[0, 1, 0], [0, 0, 0], [1, 1, 0], [0.5, 0.5, 0], [2, 0, 0], [1, 0, -1], [np.nan, 1, 0]])
    losses = per_sample(name)(rows, spike_trains((7, 3, 2), silent=0))
    np.testing.assert_array_equal(np.isnan(losses), np.arange(7) > 0)
