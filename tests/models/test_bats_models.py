import numpy as np
import pytest

from ttfs_keras.models import bats
from ttfs_keras.models.bats import bats_model


def test_the_convolutional_network():
    model = bats_model(bats.CONV, (28, 28, 1), 10)
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers[1:]}
    assert shapes == {
        "encoder": (28, 28, 1, 1),
        "conv_1": (24, 24, 15, 1),
        "pool_1": (12, 12, 15, 4),
        "conv_2": (8, 8, 40, 3),
        "pool_2": (4, 4, 40, 12),
        "flatten": (640, 12),
        "hidden_3": (300, 10),
        "output": (10, 30),
    }


def test_pixels_are_spikes_within_a_tenth_of_a_second():
    model = bats_model(bats.SPIKE_COUNT, (28, 28, 1), 10, input_range=(0.0, 255.0))
    pixels = np.array([0, 51, 255.0])
    times = model.get_layer("encoder")(np.tile(pixels[:, None, None, None], (1, 28, 28, 1)))[:, 0, 0, 0, 0]
    np.testing.assert_allclose(times, [np.inf, 0.1 * (1 - 51 / 255), 0], rtol=1e-6)


@pytest.mark.parametrize("strength", [0.0, 2.0])
def test_only_the_output_recovers_and_only_where_asked_for(strength):
    for architecture in (bats.SPIKE_COUNT, bats.SINGLE_SPIKE, bats.MULTI_SPIKE_TTFS, bats.CONV, bats.FASHION):
        model = bats_model(architecture, (28, 28, 1), 10, recovery=strength)
        layers = [layer for layer in model.layers if hasattr(layer, "recovery")]
        assert all(layer.recovery is None for layer in layers[:-1])
        assert getattr(layers[-1].recovery, "strength", 0.0) == strength
