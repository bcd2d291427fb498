import keras
import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from tests.stbp.networks import compiled, digits, small_network
from tests.stbp.tolerances import STATISTICS
from ttfs_keras import stbp
from ttfs_keras.network.graph import layers_of


@pytest.fixture(scope="module")
def twin():
    """A ReLU twin of the small network that knows its digits, and them."""
    keras.utils.set_random_seed(0)
    relu = compiled(stbp.relu_twin(small_network()))
    x, y = digits(256)
    relu.fit(x, y, batch_size=32, epochs=15, verbose=0)
    return relu, x, y


def test_a_twin_has_the_same_layers_by_name_without_time(twin):
    relu, model = twin[0], small_network()
    kept = [layer for layer in model.layers if layer.name not in ("encoder", "steps", "decoder")]
    assert {layer.name for layer in relu.layers} == {layer.name for layer in kept}
    assert len(layers_of(relu, layers.ReLU)) == len(layers_of(model, stbp.LIF))
    for layer in layers_of(model, stbp.ThresholdDependentBatchNormalization):
        other = relu.get_layer(layer.name)
        assert (other.momentum, other.epsilon) == (layer.momentum, layer.epsilon)
    assert relu.output.shape == model.output.shape


def test_a_twin_converts_to_ttfs(twin):
    relu, x, _ = twin
    snn = tk.convert(relu, x[:64])
    assert tk.verify(snn, relu, x[:32]).passed


@pytest.mark.parametrize("changes", [{}, {"time_steps": 4, "threshold": 1.0, "alpha": 0.5}])
def test_a_network_from_relu_weights_is_alive_in_every_layer(twin, changes):
    relu, x, _ = twin
    model = stbp.from_relu(small_network(**changes), relu, x)
    stbp.check_trained(model)
    rates = stbp.firing_rates(model, x).values()
    assert min(rates) > 0.02 and max(rates) < 0.6


def test_a_network_from_relu_weights_learns_faster_than_one_from_scratch(twin):
    relu, x, y = twin
    assert np.mean(relu(x).numpy().argmax(-1) == y) > 0.9
    losses = []
    for start in (lambda model: stbp.from_relu(model, relu, x), lambda model: model):
        keras.utils.set_random_seed(0)
        model = compiled(start(small_network()))
        losses.append(model.fit(x, y, batch_size=32, epochs=4, verbose=0).history["loss"][-1])
    assert losses[0] < 0.9 * losses[1]


def test_the_stem_has_the_twins_statistics_and_fires_where_it_exceeds_its_operating_point(twin):
    relu, x, _ = twin
    model = stbp.from_relu(small_network(), relu, x, firing_share=0.2)
    stem = keras.Model(relu.input, [relu.get_layer("stem_conv").output, relu.get_layer("stem_norm").output])
    convolved, _ = (np.asarray(values) for values in stem(x))
    norm = model.get_layer("stem_norm")
    np.testing.assert_allclose(norm.moving_mean, convolved.mean((0, 1, 2)), rtol=STATISTICS, atol=STATISTICS)
    np.testing.assert_allclose(norm.moving_variance, convolved.var((0, 1, 2)), rtol=STATISTICS, atol=STATISTICS)
    potential = np.asarray(relu.get_layer("stem_norm")(convolved))
    theta = np.quantile(potential, 0.8)
    twin_norm = relu.get_layer("stem_norm")
    np.testing.assert_allclose(norm.gamma, twin_norm.gamma / theta, rtol=STATISTICS)
    np.testing.assert_allclose(norm.beta, twin_norm.beta * 0.4 / theta, rtol=STATISTICS, atol=STATISTICS)


def test_kernels_are_the_twins_and_the_readout_is_scaled(twin):
    relu, x, _ = twin
    model = stbp.from_relu(small_network(), relu, x)
    for name in ("stem_conv", "block2_shortcut_conv", "block2_conv2"):
        np.testing.assert_array_equal(model.get_layer(name).layer.kernel, relu.get_layer(name).kernel)
    np.testing.assert_array_equal(model.get_layer("readout").bias, relu.get_layer("readout").bias)
    activation = keras.Model(relu.input, relu.get_layer("hidden_lif").output)(x).numpy().mean()
    worth = activation / stbp.firing_rates(model, x)["hidden_lif"]
    np.testing.assert_allclose(
        model.get_layer("readout").kernel, relu.get_layer("readout").kernel * worth, rtol=10 * STATISTICS
    )


def test_statistics_go_on_with_their_momentum_after_it(twin):
    relu, x, _ = twin
    model = stbp.from_relu(small_network(), relu, x)
    assert {layer.momentum for layer in layers_of(model, stbp.ThresholdDependentBatchNormalization)} == {0.9}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": None}, "sequences"),
        ({"encoder": "latency"}, "the latency code encoder"),
        ({"decoder": "rate"}, "the read-out neurons readout_lif"),
    ],
)
def test_what_has_no_twin_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        stbp.relu_twin(small_network(**changes))


def test_networks_that_do_not_match_are_refused(twin):
    relu, x, _ = twin
    with pytest.raises(ValueError, match=r"(?s)block1-1_conv1 with weights missing.*hidden_dense"):
        stbp.from_relu(stbp.resnet9(), relu, x)
    with pytest.raises(ValueError, match=r"firing_share in \(0, 1\)"):
        stbp.from_relu(small_network(), relu, x, firing_share=1.0)
