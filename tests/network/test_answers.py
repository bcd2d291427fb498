import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import ttfs_keras as tk
from tests.tolerances import FLOAT32
from ttfs_keras import bats
from ttfs_keras.network.answers import Answers, mean
from ttfs_keras.network.graph import Graph


def reading(*stack, shape=(4,)):
    graph = Graph(keras.Sequential([keras.Input(shape), *stack]))
    return Answers(graph, graph.outputs[0])


SCORES = np.array([[0.1, 0.9, 0.3], [0.6, 0.2, 0.2], [0.1, 0.1, 0.8], [0.4, 0.3, 0.3]])
LABELS = np.array([1, 0, 2, 1])


@pytest.mark.parametrize("y", [LABELS, LABELS[:, None], np.eye(3)[LABELS], LABELS.astype(float)])
def test_classes_take_labels_of_every_form(y):
    answers = reading(layers.Dense(3))
    assert answers.kind == "classes" and answers.accuracy(SCORES, y) == 0.75
    assert answers.agreement(SCORES, 1 - SCORES) == 0 and answers.agreement(SCORES, 2 * SCORES) == 1


def test_pixels_and_steps_are_answers_of_their_own():
    answers = reading(layers.Conv2D(3, 1), shape=(2, 2, 1))
    scores, y = SCORES.reshape(1, 2, 2, 3), LABELS.reshape(1, 2, 2)
    assert answers.accuracy(scores, y) == answers.accuracy(scores, y[..., None]) == 0.75


@pytest.mark.parametrize("head", [[layers.Dense(1, "sigmoid")], [layers.Dense(1), layers.Activation("sigmoid")]])
def test_one_sigmoid_is_yes_or_no(head):
    answers = reading(*head)
    scores = np.array([[0.9], [0.2], [0.6], [0.4]])
    assert answers.kind == "labels"
    for y in ([1, 0, 0, 0], [[1], [0], [0], [0]]):
        assert answers.accuracy(scores, y) == 0.75
    assert answers.agreement(scores, scores[::-1]) == 0.0 and answers.agreement(scores, scores / 1.1) == 1.0


def test_several_sigmoids_are_several_labels():
    answers = reading(layers.Dense(3), layers.Activation("sigmoid"), layers.Dropout(0.5))
    assert answers.kind == "labels"
    assert answers.accuracy(SCORES[:2], [[0, 1, 1], [1, 0, 0]]) == pytest.approx(5 / 6)


def test_numbers_have_no_answer():
    answers = reading(layers.Dense(1))
    assert answers.kind == "numbers"
    assert answers.accuracy(SCORES[:, :1], LABELS) is None and answers.agreement(SCORES, SCORES) is None
    assert mean([None, 0.5, 1.0]) == 0.75 and mean([None]) is None


def test_nan_is_never_right():
    answers = reading(layers.Dense(3))
    assert answers.accuracy(np.full((4, 3), np.nan), np.zeros(4, int)) == 0
    assert answers.agreement(np.full((4, 3), np.nan), np.full((4, 3), np.nan)) == 0


@pytest.mark.parametrize("y", [LABELS[:3], np.zeros((4, 2))])
def test_labels_of_another_shape_are_an_error(y):
    with pytest.raises(ValueError, match=r"y: expected labels \(4,\), \(4, 1\) or one-hot \(4, 3\)\. Received: shape"):
        reading(layers.Dense(3)).accuracy(SCORES, y)


def test_the_card_reads_single_spikes_by_the_first_and_trains_by_their_number():
    """And where no neuron spikes there is no answer, not that of class 0."""
    trains = np.array([[[0.2, 0.3], [0.1, np.inf]], [[np.inf, np.inf], [np.inf, np.inf]]], "float32")
    for slots, y in ((1, [1, 0]), (2, [0, 0])):
        inputs = keras.Input((2, slots))
        layer = bats.BATSDense(2, max_spikes=slots)
        graph = Graph(keras.Model(inputs, layer(inputs)))
        answers = Answers(graph, graph.outputs[0])
        assert answers.accuracy(answers.scores(trains[..., :slots]), y) == 0.5


def test_cards_of_one_sigmoid_of_one_hot_labels_and_of_two_outputs():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).uniform(size=(40, 5)).astype("float32")
    inputs = keras.Input((5,))
    hidden = layers.Dense(8, "relu")(inputs)
    binary = keras.Model(inputs, layers.Dense(1, "sigmoid")(hidden))
    y = (binary.predict(x, verbose=0) > 0.5).astype(int)
    y[:10] = 1 - y[:10]
    card = tk.metric_card(tk.convert(binary, x), x, y[:, 0], source=binary)
    assert card["accuracy"] == 0.75 and card["agreement"] == 1.0
    other = keras.models.clone_model(binary)
    assert tk.metric_card(other, x, y, source=binary)["agreement"] < 1
    both = keras.Model(inputs, [binary.output, layers.Dense(3)(hidden)])
    classes = both.predict(x, verbose=0)[1].argmax(-1)
    card = tk.metric_card(tk.convert(both, x), x, [y, np.eye(3)[classes]], source=both)
    assert card["accuracy"] == (0.75 + 1) / 2 and card["agreement"] == 1.0
    number = keras.Model(inputs, layers.Dense(1)(hidden))
    card = tk.metric_card(number, x, np.zeros(40))
    assert card["accuracy"] is None and card["agreement"] is None


HEADS = {
    "classes": lambda values: [layers.Dense(values)],
    "softmax": lambda values: [layers.Dense(values, "softmax"), layers.Dropout(0.3)],
    "labels": lambda values: [layers.Dense(values, "sigmoid")],
    "labels apart": lambda values: [layers.Dense(values), layers.Activation("sigmoid"), layers.Identity()],
}


@given(
    name=st.sampled_from(sorted(HEADS)),
    places=st.sampled_from([(), (2,), (2, 3)]),  # an answer for each sample, step or pixel
    values=st.integers(1, 4),
    form=st.sampled_from(["plain", "list", "float", "last axis", "one-hot"]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_any_head_is_read_as_keras_reads_it_with_labels_of_any_form(name, places, values, form, seed):
    kind = name.split()[0].replace("softmax", "classes")
    values += kind == "classes"
    random = np.random.default_rng(seed)
    scores = random.uniform(size=(7, *places, values))
    answers = reading(*HEADS[name](values), shape=(*places, 4))
    assert answers.kind == kind
    if kind == "labels":
        y, metric = random.integers(0, 2, scores.shape), keras.metrics.BinaryAccuracy()
        forms = {"last axis": y[..., 0] if values == 1 else y}
    else:
        y, metric = random.integers(0, values, scores.shape[:-1]), keras.metrics.SparseCategoricalAccuracy()
        forms = {"last axis": y[..., None], "one-hot": np.eye(values)[y]}
    metric.update_state(y, scores)
    given_as = {"list": y.tolist(), "float": y.astype(float), **forms}.get(form, y)
    assert answers.accuracy(scores, given_as) == pytest.approx(float(metric.result()), abs=FLOAT32)
    assert answers.agreement(scores, scores) == 1.0
