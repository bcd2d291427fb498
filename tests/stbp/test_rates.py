import keras
import numpy as np
import pytest

from tests.stbp.networks import small_network, trained
from tests.tolerances import FLOAT32
from ttfs_keras import stbp
from ttfs_keras.network.graph import layers_of


@pytest.fixture(scope="module")
def network():
    return trained(time_steps=4)


def test_rates_are_spikes_per_neuron_and_step(network):
    model, x, _ = network
    neurons = layers_of(model, stbp.LIF)
    spikes = keras.Model(model.input, [layer.output for layer in neurons])(x)
    expected = {layer.name: float(np.mean(values)) for layer, values in zip(neurons, spikes, strict=True)}
    for batch_size in (64, 17):
        assert stbp.firing_rates(model, x, batch_size) == pytest.approx(expected, rel=FLOAT32)
    one = {layer.name: float(np.mean(values[:1])) for layer, values in zip(neurons, spikes, strict=True)}
    assert stbp.firing_rates(model, x[:1]) == pytest.approx(one, rel=FLOAT32)
    assert min(expected.values()) > 0 and max(expected.values()) < 1


@pytest.mark.parametrize("decoder", ["mean", "rate", "membrane"])
def test_accuracy_by_time_is_that_of_networks_with_fewer_steps(decoder):
    model, x, y = trained(time_steps=4, decoder=decoder)
    accuracies = stbp.accuracy_by_time(model, x, y, batch_size=24)
    assert accuracies.shape == (4,)
    for steps, accuracy in enumerate(accuracies, 1):
        shorter = small_network(time_steps=steps, decoder=decoder)
        shorter.set_weights(model.get_weights())
        np.testing.assert_allclose(accuracy, np.mean(shorter(x).numpy().argmax(-1) == y))


def test_measurements_that_cannot_be_made_are_refused(network):
    model, x, y = network
    with pytest.raises(ValueError, match="no training step in stem_norm"):
        stbp.firing_rates(small_network(), x)
    with pytest.raises(ValueError, match="expected shape"):
        stbp.firing_rates(model, x[0])
    with pytest.raises(ValueError, match="as many labels as inputs"):
        stbp.accuracy_by_time(model, x, y[:-1])
    dense = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="expected a model with LIF layers"):
        stbp.firing_rates(dense, np.zeros((2, 5)))
    with pytest.raises(ValueError, match="ends with a decoder"):
        stbp.accuracy_by_time(dense, np.zeros((2, 5)), [0, 0])
