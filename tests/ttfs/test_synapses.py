import inspect

import keras
import numpy as np
import pytest

import ttfs_keras as tk
from tests.layer_harness import lead_times, randomize
from tests.tolerances import FLOAT64

PAIRS = {
    tk.TTFSDense: (keras.layers.Dense, {"units": 3}),
    tk.TTFSReadout: (keras.layers.Dense, {"units": 3}),
    tk.TTFSConv2D: (keras.layers.Conv2D, {"filters": 4, "kernel_size": 2}),
}
VALUES = {
    "units": 5, "filters": 6, "kernel_size": 3, "strides": 2, "padding": "same", "data_format": "channels_last",
    "dilation_rate": 2, "groups": 2, "use_bias": False, "kernel_initializer": "he_normal", "bias_initializer": "ones",
    "kernel_regularizer": "l2", "bias_regularizer": "l1", "activity_regularizer": "l2",
    "kernel_constraint": "non_neg", "bias_constraint": "non_neg", "lora_rank": 2, "lora_alpha": 3,
    "quantization_config": None,
}  # fmt: skip
ARGUMENTS = [
    (layer, name)
    for layer, (parent, _) in PAIRS.items()
    for name, value in inspect.signature(parent.__init__).parameters.items()
    if name not in ("self", "activation") and value.kind is not inspect.Parameter.VAR_KEYWORD
]


@pytest.mark.parametrize(("layer", "name"), ARGUMENTS)
def test_every_argument_of_the_keras_layer_but_activation_is_accepted(layer, name):
    parent, required = PAIRS[layer]
    arguments = {**required, name: VALUES[name]}
    expected = parent(**arguments).get_config()
    config = layer(**arguments).get_config()
    assert {key: config[key] for key in expected if key not in ("name", "activation")} == {
        key: value for key, value in expected.items() if key not in ("name", "activation")
    }


@pytest.mark.parametrize("layer", PAIRS)
def test_regularizers_and_constraints_act(layer):
    model = layer(**PAIRS[layer][1], kernel_regularizer="l2", kernel_constraint="non_neg")
    model.build((None, 4, 4, 2))
    assert len(model.losses) == 1
    assert model.kernel.constraint is not None


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("layer", PAIRS)
def test_layers_with_every_perturbation_train_in_mixed_precision(layer, policy):
    bits = [tk.WeightQuantization(4, per_channel=per_channel) for per_channel in (False, True)]
    perturbation = [*bits, tk.SpikeTimeJitter(0.1, seed=1), tk.TimeQuantization(3)]
    layer = layer(**PAIRS[layer][1], parameterization="alpha1", perturbation=perturbation, dtype=policy)
    inputs = lead_times((4, 4, 4, 2), dtype="float32")
    model = keras.Sequential([keras.Input((4, 4, 2)), layer])
    model.compile("sgd", "mse")
    model.fit(inputs, np.zeros((4, *model.output_shape[1:])), verbose=0)
    assert model(inputs).dtype == layer.compute_dtype
    assert all(np.isfinite(variable.numpy()).all() for variable in layer.variables)


@pytest.mark.parametrize("layer", PAIRS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameterization": "B2"}, "expected one of"),
        ({"perturbation": "jitter"}, "expected None, Perturbation"),
        ({"perturbation": [tk.TimeQuantization(3), 4]}, "expected None, Perturbation"),
        ({"activation": "tanh"}, "takes no activation"),
    ],
)
def test_bad_arguments_are_refused(layer, options, message):
    with pytest.raises(ValueError, match=message):
        layer(**PAIRS[layer][1], **options)


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("parameterization", ["b1", "alpha1"])
def test_slope_and_threshold_are_those_of_the_paper_and_fire_at_the_lead_time(parameterization, use_bias):
    """The threshold is B (t_max - t_min) + A (t_min - t_min_prev) - D, and t = t_min + (theta - V(t_min))/B."""
    layer = tk.TTFSDense(4, parameterization=parameterization, use_bias=use_bias, window=3.0, dtype="float64")
    layer.build((None, 6))
    randomize(layer)
    layer.kernel.assign(abs(layer.kernel.numpy()) / 6)
    weights, offsets = layer.kernel.numpy(), layer.bias.numpy() if use_bias else np.zeros(4)
    before = {"b1": 0, "alpha1": 1}[parameterization]
    slope = np.ones(4) if parameterization == "b1" else 1 + weights.sum(0)
    threshold = slope * 3.0 + before * 2.0 - offsets
    np.testing.assert_allclose(layer.slope((None, 6)), slope, rtol=0, atol=FLOAT64)
    np.testing.assert_allclose(layer.threshold((None, 6), 2.0), threshold, rtol=0, atol=FLOAT64)

    lead = lead_times((5, 6)) * 2  # inputs of a window of width 2
    potential = before * 2.0 + lead @ weights
    spike = np.minimum(np.maximum((threshold - potential) / slope, 0), 3.0)
    np.testing.assert_allclose(layer(lead), 3.0 - spike, rtol=0, atol=FLOAT64)


def test_threshold_is_a_map_where_the_inputs_have_an_offset():
    layer = tk.TTFSConv2D(3, 3, padding="same", input_affine=True, window=2.0, dtype="float64")
    layer.build((None, 4, 4, 2))
    randomize(layer)
    shape = (None, 4, 4, 2)
    offsets = layer.physical_weights(shape)[1]
    assert offsets.shape == (1, 4, 4, 3)
    np.testing.assert_allclose(layer.threshold(shape, 1.0), 2.0 - offsets.numpy(), rtol=0, atol=FLOAT64)


def test_effective_weights_are_the_perturbed_ones_over_the_slope():
    layer = tk.TTFSDense(4, parameterization="alpha1", perturbation=tk.WeightQuantization(3), dtype="float64")
    layer.build((None, 5))
    randomize(layer)
    weights, offsets = layer.physical_weights((None, 5))
    assert len(np.unique(weights)) <= 8
    slope = 1 + weights.numpy().sum(0)
    effective, biases = layer.effective_weights((None, 5))
    np.testing.assert_allclose(effective, weights / slope, rtol=0, atol=FLOAT64)
    np.testing.assert_allclose(biases, offsets / slope, rtol=0, atol=FLOAT64)
