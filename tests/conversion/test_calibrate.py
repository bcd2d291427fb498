import keras
import numpy as np
import pytest
import tensorflow as tf

import ttfs_keras as tk
from tests.conversion.sources import FLATTEN, activations, conv, dense, images, sequential
from ttfs_keras.conversion.calibrate import BATCH, activation_sizes, batches


@pytest.fixture(scope="module")
def model():
    return sequential((3, 4, 2), conv(padding="same"), FLATTEN, dense(20, activation="relu"), dense())


def sizes(model, data, quantile=None):
    graph = keras.Model(model.inputs, model.outputs)
    tensors = [layer.output for layer in (model.layers[0], model.layers[2])]
    return activation_sizes(graph, tensors, batches(graph, data), quantile)


@pytest.mark.parametrize("samples", [1, BATCH, BATCH + 1])
def test_largest_activation_over_all_batches(model, samples):
    x = images(model, samples=samples)
    expected = [values.max() for values in activations(model, (model.layers[0], model.layers[2]), x)]
    np.testing.assert_allclose(sizes(model, x), expected, rtol=1e-12)
    np.testing.assert_allclose(sizes(model, x[::-1]), expected, rtol=1e-12)


@pytest.mark.parametrize("quantile", [0.01, 0.5, 0.99, 1.0])
def test_quantile_of_positive_activations_is_averaged_over_batches(model, quantile):
    x = images(model, samples=2 * BATCH)
    expected = np.zeros(2)
    for half in (x[:BATCH], x[BATCH:]):
        for n, values in enumerate(activations(model, (model.layers[0], model.layers[2]), half)):
            ordered = np.sort(values[values > 0])
            # The quantile is taken in float32, so the rank may be one off where it is whole.
            rank = int(np.ceil(np.float32(quantile) * np.float32(len(ordered)))) - 1
            expected[n] += ordered[max(rank, 0)] / 2
    np.testing.assert_allclose(sizes(model, x, quantile), expected, rtol=1e-12)


def test_no_neurons():
    model = sequential((3,), dense())
    assert activation_sizes(model, [], batches(model, images(model))).shape == (0,)


@pytest.mark.parametrize("labels", [False, True])
def test_datasets_of_inputs_or_of_tuples_led_by_them(model, labels):
    x = images(model)
    data = tf.data.Dataset.from_tensor_slices((x, np.arange(len(x))) if labels else x).batch(4)
    np.testing.assert_array_equal(sizes(model, data), sizes(model, x))


BAD = [
    (np.zeros((5, 3, 4)), r"expected \(None, 3, 4, 2\). Received: \(5, 3, 4\)"),
    (np.zeros((5, 4, 3, 2)), r"Received: \(5, 4, 3, 2\)"),
    (np.zeros((0, 3, 4, 2)), "at least one sample"),
    (np.full((5, 3, 4, 2), np.nan), "finite values. Received: 120"),
    (np.full((1, 3, 4, 1), np.inf), r"Received: \(1, 3, 4, 1\); .*finite values"),
]


@pytest.mark.parametrize(("data", "message"), [*BAD, (None, "Received: object"), (np.array(["a"]), "expected numbers")])
def test_bad_arrays(model, data, message):
    with pytest.raises(tk.ConversionError, match=f"calibration_data: .*{message}"):
        tk.convert(model, data)


@pytest.mark.parametrize(("data", "message"), BAD)
def test_bad_datasets(model, data, message):
    with pytest.raises(tk.ConversionError, match=f"calibration_data: .*{message}"):
        tk.convert(model, tf.data.Dataset.from_tensor_slices(data).batch(8))
