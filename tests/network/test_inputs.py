import keras
import numpy as np
import pytest
import tensorflow as tf

import ttfs_keras as tk
from ttfs_keras.network.inputs import Inputs, outside_range


def network(several=False):
    inputs = [keras.Input((3,), name=name) for name in ("b", "a")]
    if several:
        return keras.Model(inputs, keras.layers.Add()(inputs))
    return keras.Model(inputs[0], keras.layers.Dense(2)(inputs[0]))


X = np.arange(15.0).reshape(5, 3)
FORMS = {
    "array": X,
    "list of one array": [X],
    "nested lists": X.tolist(),
    "dict": {"b": X},
    "data set": tf.data.Dataset.from_tensor_slices(X).batch(2),
    "data set of pairs": tf.data.Dataset.from_tensor_slices((X, np.arange(5))).batch(2),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_one_input_gives_the_same_batches_again_and_again(form):
    inputs = Inputs(network(), FORMS[form], 2)
    for _ in range(2):
        found = list(inputs)
        assert [len(batch) for (batch,) in found] == [2, 2, 1] and found[0][0].dtype == "float32"
        np.testing.assert_array_equal(np.concatenate([batch for (batch,) in found]), X)
    np.testing.assert_array_equal(inputs.arrays()[0], X)
    np.testing.assert_array_equal(inputs.first(1)[0], X[:1])
    labels = [labels for _, labels in inputs.with_labels()]
    assert labels[0] is None or np.concatenate(labels).tolist() == list(range(5))
    assert (labels[0] is None) == (form != "data set of pairs")


@pytest.mark.parametrize("given", ["list", "dict", "data set", "data set of dicts"])
def test_several_inputs(given):
    pair = {"a": 2 * X, "b": X}
    x = {
        "list": [X, 2 * X],
        "dict": pair,
        "data set": tf.data.Dataset.from_tensor_slices(((X, 2 * X),)).batch(3),
        "data set of dicts": tf.data.Dataset.from_tensor_slices(pair).batch(3),
    }[given]
    (b, a), *_ = Inputs(network(several=True), x, 3)
    np.testing.assert_array_equal(a, 2 * b)
    np.testing.assert_array_equal(b, X[:3])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.array(["one", "two"]), "data: expected numbers. Received: dtype=<U3"),
        (X[:, :2], r"expected shape \(None, 3\)\. Received: \(5, 2\)"),
        (X[0], r"expected shape \(None, 3\)\. Received: \(3,\)"),
        (X[:0], "expected at least one sample. Received: none"),
        (np.where(X == 4, np.nan, X), "expected finite values. Received: 1 of 15 that are NaN or infinite"),
        ({"c": X}, "expected inputs b. Received: c"),
        (tf.data.Dataset.from_tensor_slices(X[:0]).batch(2), "expected at least one sample. Received: none"),
        (tf.data.Dataset.from_tensor_slices(X[:, :2]).batch(2), r"expected shape \(None, 3\)"),
    ],
)
def test_what_does_not_fit_is_named(x, message):
    with pytest.raises(tk.DataError, match=message):
        list(Inputs(network(), x, 2, "data", tk.DataError))


def test_all_that_is_wrong_is_listed_at_once():
    with pytest.raises(ValueError, match=r"x: b: .*Received: \(5, 2\); a: .*Received: 12 of 12.*; .* one length"):
        Inputs(network(several=True), [X[:, :2], np.full((4, 3), np.inf)], 2)


def test_values_outside_a_range_are_counted():
    assert outside_range([[0.0, 1.0, -0.1], [1.1, np.nan, 0.5]], (0.0, 1.0)) == 3
