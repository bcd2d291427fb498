import keras
import numpy as np
import pytest

from tests.bats import published
from tests.bats.tolerances import PUBLISHED
from ttfs_keras.data import load
from ttfs_keras.models.bats import SINGLE_SPIKE, SPIKE_COUNT
from ttfs_keras.training.configuration import Configuration
from ttfs_keras.training.recipes.bats import BATSRecipe

BATCH = 6


@pytest.mark.parametrize(
    ("name", "steps", "network", "loss"),
    [("single_spike", 8, SINGLE_SPIKE, "ttfs"), ("spike_count", 4, SPIKE_COUNT, "count")],
)
def test_a_run_takes_the_published_steps(name, steps, network, loss):
    """From the same weights, on the same images in the same order: the same weights."""
    configuration = Configuration(
        model_type="BATS", model_name=name, dtype="float64", recovery=0.0, batch_size=BATCH, epochs=1
    ).resolved()
    keras.utils.set_random_seed(0)
    recipe = BATSRecipe(configuration, load("DIGITS", None, steps * BATCH, 1, "float64"))
    kernels = [variable.numpy() for variable in recipe.model.trainable_variables]
    layers = [
        published.Layer(kernel, spec.threshold, spec.max_spikes, network.simulation_time)
        for kernel, spec in zip(kernels, network.layers, strict=True)
    ]
    images, labels = (np.concatenate(list(part)) for part in zip(*recipe.batches(0), strict=True))
    published.train(layers, images, labels, BATCH, configuration.lr, loss)

    recipe.model.compile(recipe.optimizer(), recipe.loss())
    recipe.model.fit(recipe.batches(0), shuffle=False, verbose=0)
    for variable, layer, kernel in zip(recipe.model.trainable_variables, layers, kernels, strict=True):
        way = np.linalg.norm(layer.kernel - kernel)
        assert way > configuration.lr * np.sqrt(kernel.size) / 2  # Adam moves nearly all weights by its rate
        assert np.linalg.norm(variable.numpy() - layer.kernel) < PUBLISHED * way
