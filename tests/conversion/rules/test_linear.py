import functools

import keras
import numpy as np
import pytest
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import FLATTEN, TOLERANCE, conv, dense, error, images, norm, sequential
from ttfs_keras.network.fold import LINEAR, fold_input, fold_output, weights_of


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(
    "hidden",
    [
        conv(kernel_size=(2, 3), strides=(1, 2)),
        conv(kernel_size=(3, 1), dilation_rate=(1, 2), padding="same"),
        conv(6, kernel_size=2, groups=2, padding="same"),
        dense(5, activation="relu"),
    ],
    ids=["strided", "dilated", "grouped", "dense on every pixel"],
)
def test_exact_behind_scale_and_offset(hidden, use_bias):
    kind, arguments = hidden
    model = sequential(
        (5, 4, 2), norm(), (kind, arguments | {"use_bias": use_bias}), norm(), FLATTEN, dense(use_bias=use_bias)
    )
    x = images(model, (-3, 3))
    assert error(model, tk.convert(model, x, (-3, 3)), x) <= TOLERANCE["float64"]


def test_linear_read_out_directly_behind_relu_gives_the_same_logits():
    model = sequential((4,), dense(8, activation="relu"), dense(3, activation="linear"))
    x = images(model)
    snn = tk.convert(model, x)
    assert type(snn.layers[-1]) is tk.TTFSReadout
    assert error(model, snn, x) <= TOLERANCE["float64"]


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        ((dense(activation="softmax", name="first"), dense()), r"first \(Dense\): its activation softmax .* end"),
        ((dense(activation="gelu", name="bent"), dense()), r"bent \(Dense\): .*gelu"),
        ((dense(activation=layers.ELU(), name="held"), dense()), r"held \(Dense\): .*elu"),
        ((dense(activation=functools.partial(keras.ops.relu), name="half"), dense()), r"half \(Dense\): .*partial"),
    ],
)
def test_refused(stack, message):
    model = sequential((4,), *stack)
    with pytest.raises(tk.ConversionError, match=f"{message}.*; remedy: "):
        tk.convert(model, images(model))


@pytest.mark.parametrize("arguments", [{"activation": "tanh"}])
def test_convolutions_refused(arguments):
    model = sequential((6, 6, 4), conv(name="odd", **arguments), FLATTEN, dense())
    with pytest.raises(tk.ConversionError, match=r"odd \(Conv2D\)"):
        tk.convert(model, images(model))


KINDS = {
    "Dense": {"units": 3}, "Conv1D": {"filters": 3}, "Conv2D": {"filters": 4, "groups": 2}, "Conv3D": {"filters": 3},
    "Conv1DTranspose": {"filters": 3}, "Conv2DTranspose": {"filters": 3}, "Conv3DTranspose": {"filters": 3},
    "DepthwiseConv1D": {"depth_multiplier": 2}, "DepthwiseConv2D": {"depth_multiplier": 2},
    "SeparableConv1D": {"filters": 3, "depth_multiplier": 2}, "SeparableConv2D": {"filters": 3, "depth_multiplier": 2},
}  # fmt: skip


def source_layer(kind, **arguments):
    rank = 2 if kind == "Dense" else int(next(c for c in kind if c.isdigit()))
    arguments |= {} if kind == "Dense" else {"kernel_size": 2}
    return sequential((*range(3, 3 + rank), 2), (getattr(layers, kind), KINDS[kind] | arguments))


def test_all_kinds_are_covered():
    assert {kind.__name__ for kind in LINEAR} == set(KINDS)


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_folded_weights_are_those_of_the_layer_between_two_scalings(kind, use_bias):
    model = source_layer(kind, use_bias=use_bias)
    (layer,) = model.layers
    twin = type(layer).from_config(layer.get_config() | {"use_bias": True})
    twin.build((1, *model.input_shape[1:]))
    random = np.random.default_rng(0)
    x = random.normal(size=(2, *model.input_shape[1:]))
    before, (after, shift) = random.normal(size=2), random.normal(size=(2, model.output_shape[-1]))
    offset = random.normal(size=2)

    def result(weights):
        for name, values in weights.items():
            getattr(twin, name).assign(values)
        return np.asarray(twin(x))

    weights = weights_of(layer)
    np.testing.assert_allclose(result(weights), layer(x), atol=1e-12)
    np.testing.assert_allclose(result(fold_output(layer, weights, after, shift)), after * layer(x) + shift, atol=1e-12)
    np.testing.assert_allclose(result(fold_input(layer, weights, before, np.zeros(2))), layer(before * x), atol=1e-12)
    folded = fold_input(layer, weights, before, offset)
    if folded is not None:
        np.testing.assert_allclose(result(folded), layer(before * x + offset), atol=1e-12)
    assert (folded is not None) == (kind in ("Dense", "Conv1D", "Conv2D", "Conv3D"))


def test_offsets_do_not_fold_where_padding_follows_them():
    (layer,) = source_layer("Conv2D", padding="same").layers
    assert fold_input(layer, weights_of(layer), np.ones(2), np.ones(2)) is None
    assert fold_input(layer, weights_of(layer), np.ones(2), np.zeros(2)) is not None


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "Dense"])
def test_every_convolution_is_exact_behind_scale_and_offset(kind, padding):
    rank = int(next(c for c in kind if c.isdigit()))
    arguments = KINDS[kind] | {"kernel_size": 2, "padding": padding, "activation": "relu"}
    model = sequential((3,) * rank + (2,), norm(), (getattr(layers, kind), arguments), norm(), FLATTEN, dense())
    x = images(model, (-3, 3))
    assert error(model, tk.convert(model, x, (-3, 3)), x) <= TOLERANCE["float64"]
