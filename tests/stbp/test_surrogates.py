import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.tolerances import FLOAT64, GRADIENT
from ttfs_keras.stbp import surrogates

WIDTH = 0.7

# phi(v) of width w, as the docstrings state it.
FORMULAS = {
    "rectangle": lambda v, w: (np.abs(v) < w / 2) / w,
    "triangle": lambda v, w: np.maximum(1 - np.abs(v) / w, 0) / w,
    "sigmoid": lambda v, w: np.exp(-v / w) / (w * (1 + np.exp(-v / w)) ** 2),
    "arctan": lambda v, w: 1 / (w * (1 + (np.pi * v / w) ** 2)),
    "fast_sigmoid": lambda v, w: 1 / (2 * w * (1 + np.abs(v) / w) ** 2),
}


@keras.saving.register_keras_serializable(package="tests")
def gaussian(overdrive, width):
    return tf.exp(-((overdrive / width) ** 2))


def test_every_name_has_a_formula_here():
    assert set(FORMULAS) == set(surrogates.BY_NAME)


@pytest.mark.parametrize("name", FORMULAS)
def test_derivative_is_its_formula(name):
    v = np.linspace(-3, 3, 1001)
    phi = surrogates.get(name, WIDTH).derivative(tf.constant(v))
    np.testing.assert_allclose(phi, FORMULAS[name](v, WIDTH), rtol=0, atol=FLOAT64)


@pytest.mark.parametrize("name", FORMULAS)
def test_antiderivative_rises_from_0_to_1_with_the_derivative_as_slope(name):
    surrogate, step = surrogates.get(name, WIDTH), 1e-6
    v = np.random.default_rng(0).uniform(-3, 3, 1000)  # hits no kink
    rise = surrogate.antiderivative(tf.constant(v + step)) - surrogate.antiderivative(tf.constant(v - step))
    np.testing.assert_allclose(rise / (2 * step), surrogate.derivative(tf.constant(v)), rtol=0, atol=GRADIENT)
    ends = surrogate.antiderivative(tf.constant([-1e9, 0, 1e9], tf.float64))
    np.testing.assert_allclose(ends, [0, 0.5, 1], rtol=0, atol=GRADIENT)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_spike_needs_a_potential_above_the_threshold(name):
    v = tf.constant([-1.0, -1e-30, 0.0, 1e-30, 1.0], tf.float64)
    np.testing.assert_array_equal(surrogates.get(name).fire(v), [0, 0, 0, 1, 1])


def test_inside_is_the_width_of_a_rectangle_and_the_half_height_of_others():
    v = tf.constant([-0.36, -0.34, 0.0, 0.34, 0.36], tf.float64)
    for name in ("rectangle", "triangle"):
        np.testing.assert_array_equal(surrogates.get(name, WIDTH).inside(v), [0, 1, 1, 1, 0])


def test_a_shifted_rectangle_is_the_window_around_zero_potential():
    threshold = 0.4
    surrogate = surrogates.Shifted(surrogates.Rectangle(1.0), -threshold)
    u = np.random.default_rng(0).normal(size=1000)
    np.testing.assert_array_equal(surrogate.derivative(tf.constant(u - threshold)), np.abs(u) < 0.5)
    np.testing.assert_array_equal(surrogate.inside(tf.constant(u - threshold)), np.abs(u) < 0.5)


@pytest.mark.parametrize(
    "surrogate", [*surrogates.BY_NAME, gaussian, surrogates.Shifted("arctan", -0.3), surrogates.Triangle(0.2)]
)
def test_surrogates_survive_saving(surrogate):
    v = tf.linspace(-2.0, 2.0, 101)
    surrogate = surrogates.get(surrogate, WIDTH)
    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(surrogate)))
    np.testing.assert_array_equal(surrogates.get(saved).derivative(v), surrogate.derivative(v))


def test_a_function_becomes_a_surrogate_of_the_given_width():
    v = tf.linspace(-2.0, 2.0, 101)
    np.testing.assert_array_equal(surrogates.get(gaussian, 0.3).derivative(v), gaussian(v, 0.3))


def test_a_surrogate_without_antiderivative_says_so():
    with pytest.raises(NotImplementedError, match="Custom does not define its antiderivative"):
        surrogates.get(gaussian).antiderivative(tf.zeros(3))


@pytest.mark.parametrize("identifier", ["gauss", None, 3])
def test_an_unknown_surrogate_is_refused_with_all_names(identifier):
    with pytest.raises(ValueError, match="'rectangle', 'triangle', 'sigmoid', 'arctan', 'fast_sigmoid'"):
        surrogates.get(identifier)


@pytest.mark.parametrize("width", [0, -1.0, float("nan"), float("inf")])
def test_a_width_must_be_positive(width):
    with pytest.raises(ValueError, match="Rectangle: expected width > 0"):
        surrogates.get("rectangle", width)
