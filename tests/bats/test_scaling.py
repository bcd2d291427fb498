import keras
import numpy as np
import pytest

from ttfs_keras import bats
from ttfs_keras.bats.scaling import SynapticScaling

TRAINS, LABELS = np.full((6, 4, 4, 1, 1), 0.05), np.zeros(6)


def network():
    """A filter and a neuron that fire and one of each that does not; the third neuron fires for no filter's spikes."""
    inputs = keras.Input((4, 4, 1, 1))
    x = bats.BATSConv2D(2, 3, threshold=0.2, max_spikes=1, name="conv")(inputs)
    x = bats.FlattenSpikes()(x)
    model = keras.Model(inputs, bats.BATSDense(2, threshold=0.2, max_spikes=2, name="dense")(x))
    model.layers[1].kernel.assign(np.broadcast_to([2.0, -0.5], (3, 3, 1, 2)))
    model.layers[3].kernel.assign(np.broadcast_to([5.0, 0.1], (8, 2)))
    model.compile(keras.optimizers.SGD(0.0), bats.losses.SpikeCount(1, 1))
    return model


def kernels(model):
    return [np.asarray(model.layers[index].kernel) for index in (1, 3)]


@pytest.mark.parametrize("validated", [False, True])
def test_neurons_silent_for_an_epoch_are_strengthened(validated):
    model = network()
    before = kernels(model)
    # For these all are silent, which must not matter.
    validation = (np.full_like(TRAINS, np.inf), LABELS) if validated else None
    model.fit(TRAINS, LABELS, batch_size=4, verbose=0, validation_data=validation, callbacks=[SynapticScaling(0.1)])
    for kernel, old in zip(kernels(model), before, strict=True):
        np.testing.assert_array_equal(kernel[..., 0], old[..., 0])
        np.testing.assert_allclose(kernel[..., 1], old[..., 1] + 0.1 * abs(old[..., 1]), rtol=1e-6)


def test_the_validation_measures_what_is_saved():
    model = network()
    model.get_layer("dense").kernel.assign(np.broadcast_to([5.0, 0.7], (8, 2)))

    def spikes():
        return model.evaluate(TRAINS, LABELS, verbose=0, return_dict=True)["dense_spikes"]

    alone = spikes()
    history = model.fit(
        TRAINS, LABELS, verbose=0, validation_data=(TRAINS, LABELS), callbacks=[SynapticScaling(9.0)]
    ).history
    assert history["dense_spikes"] == [alone]
    assert history["val_dense_spikes"] == [spikes()] and spikes() > alone


def test_every_epoch_counts_anew_until_the_neuron_fires():
    model = network()
    for _ in range(2):
        model.fit(TRAINS, LABELS, epochs=6, verbose=0, callbacks=[SynapticScaling(0.5)])
    conv, dense = kernels(model)
    assert model.evaluate(TRAINS, LABELS, verbose=0, return_dict=True)["dense_silent"] == 0
    ratio = np.log(dense[0, 1] / 0.1) / np.log(1.5)
    assert ratio == pytest.approx(round(ratio), abs=1e-3) and 1 <= round(ratio) < 12
    np.testing.assert_allclose(conv[..., 1], -0.5 * 0.5**12, rtol=1e-4)


def test_layers_of_nested_models_are_scaled():
    inputs = keras.Input((4, 4, 1, 1))
    model = keras.Model(inputs, network()(inputs))
    model.compile(keras.optimizers.SGD(0.0), bats.losses.SpikeCount(1, 1))
    model.fit(TRAINS, LABELS, verbose=0, callbacks=[SynapticScaling(1.0)])
    np.testing.assert_allclose(kernels(model.layers[1])[1][..., 1], 0.2, rtol=1e-6)


def test_evaluation_alone_changes_nothing():
    model = network()
    before = kernels(model)
    model.evaluate(TRAINS, LABELS, verbose=0, callbacks=[SynapticScaling(1.0)])
    for kernel, old in zip(kernels(model), before, strict=True):
        np.testing.assert_array_equal(kernel, old)


@pytest.mark.parametrize("rate", [0, -0.1, float("nan"), float("inf"), "1"])
def test_a_bad_rate_is_refused(rate):
    with pytest.raises(ValueError, match=r"expected rate > 0, finite\. Received: rate="):
        SynapticScaling(rate)
