"""Models whose layers compute in any dtype or several, against Keras itself."""

import itertools

import keras
import ml_dtypes
import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from tests import tolerances

POLICIES = ("float32", "float64", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16", "alternating")
HALF = 16  # epsilons, of which half precision loses one with each rounding


def dense(x):
    return layers.Dense(8, "relu")(layers.Flatten()(x))


def conv(x):
    return layers.Flatten()(layers.MaxPooling2D(2)(layers.Conv2D(4, 3, padding="same", activation="relu")(x)))


def depthwise(x):
    return layers.GlobalAveragePooling2D()(
        layers.SeparableConv2D(4, 3)(layers.DepthwiseConv2D(3, activation="relu")(x))
    )


def normed(x):
    return layers.Flatten()(layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3)(x))))


def residual(x):
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(x))
    return layers.Flatten()(layers.LeakyReLU()(layers.Conv2D(4, 1)(layers.ReLU()(layers.Add()([x, y])))))


def built(body, policy):
    """Return a model under a policy, or with every other layer in float64."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    if policy == "alternating":
        model = keras.Model(inputs, layers.Dense(3)(body(inputs)))

        dtypes = itertools.cycle(["float64", "float32"])

        def other(layer):
            dtype = next(dtypes)
            return type(layer).from_config(layer.get_config() | {"dtype": dtype})

        model = keras.models.clone_model(model, clone_function=other)
    else:
        default = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            model = keras.Model(inputs, layers.Dense(3)(body(inputs)))
        finally:
            keras.config.set_dtype_policy(default)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([np.linspace(*ends, 4) for ends in ((0.5, 2), (-0.5, 0.5), (-0.2, 0.2), (0.5, 2))])
    return model


@pytest.mark.parametrize("body", [dense, conv, depthwise, normed, residual])
@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_converts(policy, body):
    model = built(body, policy)
    x = np.random.default_rng(0).uniform(size=(16, 6, 6, 2)).astype("float32")
    snn = tk.convert(model, x)
    expected, received = (np.asarray(m(x)).astype(np.float64) for m in (model, snn))
    dtypes = {layer.compute_dtype for layer in model.layers[1:]}
    assert {layer.compute_dtype for layer in snn.layers[2:]} <= dtypes
    rounding = max(float(ml_dtypes.finfo(dtype).eps) for dtype in dtypes)
    tolerance = tolerances.FLOAT64 if policy == "float64" else max(tolerances.FLOAT32, HALF * rounding)
    assert np.abs(received - expected).max() <= tolerance * np.abs(expected).max()
    report = tk.verify(snn, model, x)
    assert report.passed, str(report)
    assert report.tolerance == max(1e-4, HALF * rounding) and report.dtype in dtypes
    assert f"{report.dtype})" in str(report)
    if policy == "float64":
        np.testing.assert_allclose(tk.simulate(snn, x[:2]).outputs, expected[:2], atol=tolerances.SIMULATOR)


@pytest.mark.parametrize("body", [dense, conv, depthwise])
def test_a_range_is_taken_off_in_the_models_dtype(body):
    model = built(body, "float64")  # whose input is float32
    x = np.random.default_rng(0).uniform(-3, 3, (16, 6, 6, 2)).astype("float32")
    snn = tk.convert(model, x, (-3, 3))
    np.testing.assert_allclose(snn(x), model(x), rtol=0, atol=tolerances.FLOAT64)


def test_a_tolerance_that_is_given_holds():
    model = built(normed, "mixed_bfloat16")
    x = np.random.default_rng(0).uniform(size=(16, 6, 6, 2)).astype("float32")
    report = tk.verify(tk.convert(model, x), model, x, tolerance=1e-4)
    assert report.tolerance == 1e-4 and not report.passed
    assert "NOT EXACT" in str(report) and "bfloat16" in str(report)
