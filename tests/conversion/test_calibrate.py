import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import FLATTEN, activations, conv, dense, images, randomize, sequential, spiking
from ttfs_keras.conversion.convert import BATCH


@pytest.fixture(scope="module")
def model():
    return sequential((3, 4, 2), conv(padding="same"), FLATTEN, dense(20, activation="relu"), dense())


def sizes(model, data, quantile=None):
    """Return the windows without a margin."""
    snn = tk.convert(model, data, margin=0, quantile=quantile, verification=False)
    return [float(layer.window) for layer in spiking(snn)]


@pytest.mark.parametrize("samples", [1, BATCH, BATCH + 1])
def test_largest_activation_over_all_batches(model, samples):
    x = images(model, samples=samples)
    expected = [values.max() for values in activations(model, (model.layers[0], model.layers[2]), x)]
    np.testing.assert_allclose(sizes(model, x), expected, rtol=1e-12)


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
    assert sizes(model, images(model)) == []


@pytest.mark.parametrize("labels", [False, True])
def test_datasets_of_inputs_or_of_tuples_led_by_them(model, labels):
    x = images(model)
    data = tf.data.Dataset.from_tensor_slices((x, np.arange(len(x))) if labels else x).batch(4)
    np.testing.assert_array_equal(sizes(model, data), sizes(model, x))


BAD = [
    (np.zeros((5, 3, 4)), r"expected shape \(None, 3, 4, 2\). Received: \(5, 3, 4\)"),
    (np.zeros((5, 4, 3, 2)), r"Received: \(5, 4, 3, 2\)"),
    (np.zeros((0, 3, 4, 2)), "at least one sample"),
    (np.full((5, 3, 4, 2), np.nan), "finite values. Received: 120"),
    (np.full((1, 3, 4, 1), np.inf), r"shape .*Received: \(1, 3, 4, 1\)"),
]


@pytest.mark.parametrize(
    ("data", "message"), [*BAD, (None, "Received: dtype=object"), (np.array(["a"]), "expected numbers")]
)
def test_bad_arrays(model, data, message):
    with pytest.raises(tk.ConversionError, match=f"calibration_data: .*{message}"):
        tk.convert(model, data)


@pytest.mark.parametrize(("data", "message"), BAD)
def test_bad_datasets(model, data, message):
    with pytest.raises(tk.ConversionError, match=f"calibration_data: .*{message}"):
        tk.convert(model, tf.data.Dataset.from_tensor_slices(data).batch(8))


def two_inputs():
    inputs = [keras.Input((3,), name="first", dtype="float64"), keras.Input((2,), name="second", dtype="float64")]
    hidden = layers.Dense(4, "relu", dtype="float64")(layers.Concatenate(dtype="float64")(inputs))
    return randomize(keras.Model(inputs, layers.Dense(2, dtype="float64")(hidden)))


def test_datasets_of_several_inputs():
    model = two_inputs()
    x = images(model)
    data = tf.data.Dataset.from_tensor_slices((tuple(x), np.arange(6))).batch(4)
    np.testing.assert_allclose(sizes(model, data), sizes(model, x), rtol=1e-12)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((5, 3)), "expected 2 inputs. Received: 1"),
        ([np.zeros((5, 3)), np.zeros((4, 2))], r"one length. Received: \[5, 4\]"),
        ([np.zeros((5, 2)), np.zeros((5, 3))], r"\(None, 3\). Received: \(5, 2\); .*\(None, 2\). Received: \(5, 3\)"),
    ],
)
def test_bad_data_for_several_inputs(data, message):
    with pytest.raises(tk.ConversionError, match=f"calibration_data: .*{message}"):
        tk.convert(two_inputs(), data)


def test_overshoots_of_the_data_widen_the_window():
    model = sequential((2,), dense(1, activation="relu"), dense(2))
    model.layers[0].kernel.assign([[1.0], [-1.0]])  # the first input arrives 0.7 before the second one
    model.layers[0].bias.assign([0.0])
    x = np.array([[0.9, 0.8], [0.2, 0.0]])
    assert sizes(model, x) == [pytest.approx(0.2)]
    assert sizes(model, x[:1]) == [pytest.approx(0.1)]
    model.layers[0].kernel.assign([[2.0], [-4.0]])
    assert sizes(model, np.array([[0.9, 0.4], [0.1, 0.0]])) == [pytest.approx(1.0)]


def test_data_free_needs_fixed_sizes():
    model = keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(2, 3, padding="same", activation="relu")])
    with pytest.raises(tk.ConversionError, match="data_free: expected inputs of fixed shape"):
        tk.convert(model, np.zeros((2, 5, 5, 1)), data_free=True)


@pytest.mark.parametrize("form", ["array", "data set"])
def test_zeros_calibrate_nothing(model, form):
    zeros = np.zeros((5, 3, 4, 2))
    data = zeros if form == "array" else tf.data.Dataset.from_tensor_slices(zeros).batch(2)
    with pytest.raises(tk.ConversionError, match=r"calibration_data: expected inputs like those .*zeros only"):
        tk.convert(model, data)
    zeros[4, 0, 0, 0] = 0.5
    tk.convert(model, data if form == "array" else tf.data.Dataset.from_tensor_slices(zeros).batch(2))
    tk.convert(model, np.zeros((5, 3, 4, 2)), data_free=True)


def test_layers_that_never_spike_are_named(caplog):
    model = sequential((2,), dense(3, activation="relu", name="first"), dense(2, activation="relu", name="second"))
    model.layers[0].set_weights([np.ones((2, 3)), np.zeros(3)])
    model.layers[1].set_weights([np.ones((3, 2)), np.full(2, -9.0)])
    snn = tk.convert(model, np.full((4, 2), 0.5))
    (record,) = caplog.records
    assert record.name == "ttfs_keras" and record.levelname == "WARNING"
    assert "calibration: no spike in second: " in record.getMessage()
    assert [float(layer.window) for layer in spiking(snn)] == [pytest.approx(1.5), 1.0]
    caplog.clear()
    tk.convert(model, np.full((4, 2), 0.5), data_free=True)
    model.layers[1].bias.assign(np.full(2, -2.0))
    tk.convert(model, np.full((4, 2), 0.5))
    assert not caplog.records
