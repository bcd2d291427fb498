import keras
import numpy as np
import pytest
from keras import layers

from tests.stbp.networks import digits, small_network, trained
from tests.stbp.tolerances import FOLDED
from tests.tolerances import FLOAT64
from ttfs_keras import stbp
from ttfs_keras.network.graph import layers_of

NORM = stbp.ThresholdDependentBatchNormalization


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", FOLDED), ("float64", FLOAT64)])
@pytest.mark.parametrize("encoder", ["direct", "latency"])
def test_a_folded_network_is_the_network(encoder, dtype, tolerance):
    model, x, _ = trained(fit=encoder == "direct", dtype=dtype, encoder=encoder, time_steps=3)
    before = model.get_weights()
    folded = stbp.fold_tdbn(model)
    assert layers_of(model, NORM) and not layers_of(folded, NORM)
    assert all(layer.layer.use_bias for layer in layers_of(folded, stbp.TimeFolded) if layer.weights)
    x = digits(200)[0].astype(dtype)
    np.testing.assert_allclose(folded(x), model(x), rtol=0, atol=tolerance)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_currents_of_a_folded_network_are_the_networks():
    # Spikes hide small errors; the currents that drive them do not.
    model, x, _ = trained()
    results = []
    for network in (model, stbp.fold_tdbn(model)):
        results.append(keras.Model(network.input, [layer.input for layer in layers_of(network, stbp.LIF)])(x))
    for received, expected in zip(*results, strict=True):
        np.testing.assert_allclose(received, expected, rtol=0, atol=FOLDED)


def test_a_folded_network_survives_saving(tmp_path):
    model, x, _ = trained()
    folded = stbp.fold_tdbn(model)
    folded.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(x), folded(x))


def test_what_a_second_layer_hears_stays_and_norms_of_plain_features_too():
    inputs = keras.Input((2, 5))
    dense = layers.Dense(4, name="dense")(inputs)
    heard = layers.Add()([NORM(0.4, name="first")(dense), dense])
    outputs = NORM(0.4, name="second")(heard)
    model = keras.Model(inputs, outputs)
    x = np.random.default_rng(0).normal(size=(8, 2, 5)).astype("float32")
    model(x, training=True)
    folded = stbp.fold_tdbn(model)
    assert [layer.name for layer in layers_of(folded, NORM)] == ["first", "second"]
    np.testing.assert_allclose(folded(x), model(x), rtol=0, atol=FOLDED)


def test_a_bias_of_the_linear_layer_is_folded_too():
    inputs = keras.Input((2, 5))
    norm = NORM(0.4, 0.7)
    model = keras.Model(inputs, norm(layers.Dense(4, bias_initializer="random_normal")(inputs)))
    x = np.random.default_rng(0).normal(size=(8, 2, 5)).astype("float32")
    model(x, training=True)
    np.testing.assert_allclose(stbp.fold_tdbn(model)(x), model(x), rtol=0, atol=FOLDED)


def test_a_network_without_statistics_is_refused():
    with pytest.raises(ValueError, match="no training step in stem_norm, block1_norm1"):
        stbp.fold_tdbn(small_network())


def test_nested_models_and_shared_layers_are_refused():
    inputs = keras.Input((2, 5))
    inner = keras.Sequential([keras.Input((2, 5)), layers.Dense(5)], name="inner")
    with pytest.raises(ValueError, match="without other models in it. Received: inner".replace(".", r"\.")):
        stbp.fold_tdbn(keras.Model(inputs, inner(inputs)))
    dense = layers.Dense(5, name="dense")
    with pytest.raises(ValueError, match="dense used more often"):
        stbp.fold_tdbn(keras.Model(inputs, dense(dense(inputs))))
