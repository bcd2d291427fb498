import keras
import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import TOLERANCE, error, outputs
from tests.tolerances import SIMULATOR
from ttfs_keras.ttfs.encoder import TTFSEncoder

TOKENS = np.random.default_rng(0).integers(0, 9, (12, 7))


def text(front, head=None):
    inputs = keras.Input((7,), dtype="int32", name="tokens")
    x = layers.Dense(5, activation="relu", dtype="float64")(layers.Flatten(dtype="float64")(front(inputs)))
    return keras.Model(inputs, layers.Dense(2, dtype="float64")(x))


FRONTS = {
    "Embedding": lambda x: layers.Embedding(9, 3, dtype="float64")(x),
    "Embedding and a convolution": lambda x: layers.Conv1D(4, 3, dtype="float64")(
        layers.Embedding(9, 3, dtype="float64")(x)
    ),
    "one-hot": lambda x: layers.CategoryEncoding(9, output_mode="multi_hot", dtype="float64")(x),
    "looked up": lambda x: layers.Embedding(11, 3, dtype="float64")(layers.IntegerLookup(vocabulary=list(range(8)))(x)),
    "a function": lambda x: keras.ops.sin(keras.ops.cast(x, "float64")),
    "positions added": lambda x: layers.Embedding(9, 3, dtype="float64")(x) + np.linspace(-1, 1, 21).reshape(1, 7, 3),
}


@pytest.mark.parametrize("name", FRONTS)
def test_what_stands_before_the_first_synapses_stays_digital(name):
    model = text(FRONTS[name])
    before = model.get_weights()
    snn = tk.convert(model, TOKENS)
    assert tk.verify(snn, model, TOKENS, tolerance=TOLERANCE["float64"]).passed
    expected = outputs(model, TOKENS)
    assert np.abs(tk.simulate(snn, TOKENS).outputs - expected).max() <= SIMULATOR * max(1, np.abs(expected).max())
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_range_of_an_embedding_is_that_of_its_table():
    """So tokens that the calibration data lack are exact, too, whatever the windows hold."""
    model = text(FRONTS["Embedding"])
    table = np.asarray(model.layers[1].embeddings)
    snn = tk.convert(model, np.ones((4, 7), int), margin=99.0)
    (encoder,) = [layer for layer in snn.layers if isinstance(layer, TTFSEncoder)]
    np.testing.assert_allclose(encoder.input_range, (table.min(), table.max()))
    assert error(model, snn, TOKENS) <= TOLERANCE["float64"]


def test_what_has_weights_is_no_front():
    inputs = keras.Input((7,), name="x")
    x = layers.LayerNormalization(name="norm")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(x))
    with pytest.raises(tk.ConversionError, match=r"norm \(LayerNormalization\)"):
        tk.convert(model, np.ones((4, 7)))


def test_a_network_with_a_front_is_saved(tmp_path):
    model = text(FRONTS["Embedding"])
    snn = tk.convert(model, TOKENS)
    snn.save(tmp_path / "snn.keras")
    np.testing.assert_array_equal(
        outputs(keras.models.load_model(tmp_path / "snn.keras"), TOKENS), outputs(snn, TOKENS)
    )
