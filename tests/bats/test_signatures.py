"""The layers, their functions, losses and metrics show the same arguments with the same defaults."""

import inspect

import keras
import numpy as np
import pytest

from ttfs_keras import bats

OWN = {bats.BATSDense: ["units"], bats.BATSConv2D: ["filters", "kernel_size"]}
FUNCTIONS = {bats.BATSDense: bats.dense, bats.BATSConv2D: bats.conv2d}


def parameters(function, without=()):
    return {name: p for name, p in inspect.signature(function).parameters.items() if name not in without}


def test_dense_and_convolution_have_the_same_arguments():
    dense, convolution = ([*parameters(layer, own).values()] for layer, own in OWN.items())
    assert dense == convolution  # names, order, defaults and annotations
    for layer, own in OWN.items():
        assert [*parameters(layer)][: len(own)] == own


@pytest.mark.parametrize("layer", OWN)
def test_layers_have_the_defaults_of_their_functions(layer):
    of_layer, of_function = parameters(layer), parameters(FUNCTIONS[layer], ["times", "kernel"])
    assert of_function.keys() <= of_layer.keys()
    for name, parameter in of_function.items():
        if name in ("tau_s", "threshold"):
            assert parameter.default is parameter.empty  # the function has no defaults for them
        else:
            assert parameter.default == of_layer[name].default
    assert [name for name in of_layer if name in of_function and name != "min_slope"] == [*of_function][:-1]
    assert [*parameters(bats.dense).values()] == [*parameters(bats.conv2d).values()]


@pytest.mark.parametrize("layer", OWN)
def test_layers_compute_what_their_functions_do(layer):
    arguments = {"tau_s": 0.1, "threshold": 0.3, "delta_threshold": 0.2, "max_spikes": 5, "simulation_time": 0.3}
    initializer = keras.initializers.RandomUniform(-1, 4, seed=0)
    built = layer(*[2] * len(OWN[layer]), dtype="float64", kernel_initializer=initializer, **arguments)
    times = np.random.default_rng(0).uniform(0, 0.1, (3, 4, 3, 2, 2) if len(OWN[layer]) == 2 else (3, 40, 2))
    trains = built(times)
    assert np.isfinite(trains).any()
    np.testing.assert_array_equal(trains, FUNCTIONS[layer](times, built.kernel, **arguments)[0])


def subclasses(module, base):
    return [value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, base)]


@pytest.mark.parametrize("module", [bats, bats.losses, bats.metrics])
def test_completion_shows_public_names_only(module):
    assert dir(module) == sorted(module.__all__)
    assert not {"tf", "keras", "HALF", "one_hot"} & set(dir(module))
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_all_losses_metrics_and_layers_are_exported():
    for module, base in ((bats.losses, keras.losses.Loss), (bats.metrics, keras.metrics.Metric)):
        public = [cls for cls in subclasses(module, base) if not cls.__name__.startswith("_")]
        assert sorted(cls.__name__ for cls in public) == sorted(module.__all__)


@pytest.mark.parametrize("cls", [getattr(module, n) for module in (bats.losses, bats.metrics) for n in module.__all__])
def test_losses_and_metrics_show_all_arguments(cls):
    kinds = {parameter.kind for parameter in parameters(cls).values()}
    assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
