import dataclasses

import keras
import pytest
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import TOLERANCE, dense, error, images, sequential
from ttfs_keras.conversion import registry
from ttfs_keras.conversion.registry import Refusal, rule_of


@pytest.fixture(autouse=True)
def own_rules(monkeypatch):
    monkeypatch.setattr(registry, "_RULES", dict(registry._RULES))


class Double(keras.layers.Layer):
    def call(self, x):
        return 2 * x


class HalfDense(layers.Dense):
    def call(self, x):
        return super().call(x) / 2


def doubled():
    return sequential((4,), dense(5, activation="relu"), (Double, {"name": "double"}), dense())


def test_own_layer_is_refused_until_a_rule_is_registered():
    model = doubled()
    x = images(model)
    with pytest.raises(tk.ConversionError, match=r"double \(Double\): .*register a converter"):
        tk.convert(model, x)

    @tk.register_converter(Double)
    def double(layer, values, network):
        (value,) = values
        return dataclasses.replace(value, scale=2 * value.scale, offset=2 * value.offset)

    assert rule_of(model.layers[1]) is double
    assert error(model, tk.convert(model, x), x) <= TOLERANCE["float64"]


def test_own_rule_may_refuse():
    @tk.register_converter(Double)
    def never(layer, values, network):
        raise Refusal("it is doubled", "halve it")

    model = doubled()
    with pytest.raises(tk.ConversionError, match=r"double \(Double\): it is doubled; remedy: halve it"):
        tk.convert(model, images(model))


def test_subclass_with_its_own_call_is_refused_not_mapped_as_its_parent():
    model = sequential((4,), (HalfDense, {"units": 3, "activation": "relu", "name": "half"}), dense())
    assert rule_of(model.layers[0]) is None
    with pytest.raises(tk.ConversionError, match=r"half \(HalfDense\)"):
        tk.convert(model, images(model))


def test_one_rule_for_several_types():
    @tk.register_converter(Double, HalfDense)
    def rule(layer, values, network):
        return values[0]

    assert rule_of(Double()) is rule_of(HalfDense(2)) is rule
    assert rule_of(layers.Dense(2)) is not rule
