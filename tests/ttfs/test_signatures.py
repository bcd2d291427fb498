"""Layers show every argument of the Keras layer they stand for, in its order and with its defaults."""

import inspect

import keras
import pytest

import ttfs_keras as tk
from ttfs_keras.ttfs.pooling import OF_KERAS

PAIRS = {"TTFSDense": "Dense", "TTFSReadout": "Dense", "TTFSConv2D": "Conv2D"}
PAIRS |= {ours.__name__: theirs.__name__ for theirs, ours in OF_KERAS.items()}
NEW_IN_KERAS = {"lora_rank", "lora_alpha", "quantization_config"}  # which not every version since 3.12 has


def parameters(layer):
    signature = inspect.signature(layer.__init__)
    found = {name: value for name, value in signature.parameters.items() if name != "self"}
    return {name: value for name, value in found.items() if value.kind is not value.VAR_KEYWORD}


@pytest.mark.parametrize("name", PAIRS)
def test_signatures_are_those_of_keras(name):
    ours, theirs = parameters(getattr(tk, name)), parameters(getattr(keras.layers, PAIRS[name]))
    expected = {key: value.default for key, value in theirs.items()}
    shared = {key: value.default for key, value in ours.items() if value.kind is not value.KEYWORD_ONLY}
    assert {key: value for key, value in shared.items() if key in expected or key not in NEW_IN_KERAS} == expected
    assert [key for key in shared if key in expected] == list(expected)


@pytest.mark.parametrize("name", PAIRS)
def test_what_is_added_is_given_by_name(name):
    ours, theirs = parameters(getattr(tk, name)), parameters(getattr(keras.layers, PAIRS[name]))
    added = {key for key in ours if key not in theirs and key not in NEW_IN_KERAS}
    assert added and all(ours[key].kind is inspect.Parameter.KEYWORD_ONLY for key in added)


def test_arguments_by_position_are_those_of_keras():
    layer = tk.TTFSConv2D(5, 3, 2, "same")
    assert (layer.filters, layer.kernel_size, layer.strides, layer.padding) == (5, (3, 3), (2, 2), "same")
    assert not tk.TTFSDense(4, None, False).use_bias
    with pytest.raises(ValueError, match=r"takes no activation.*Received: activation='relu'"):
        tk.TTFSDense(4, activation="relu")
