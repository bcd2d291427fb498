import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import ttfs_keras as tk
from tests.layer_harness import lead_times, randomize, run_layer_test
from tests.tolerances import FLOAT32, FLOAT64

VARIANTS = {
    "default": {},
    "affine_groups": {"input_affine": True, "groups": 2, "padding": "same", "dilation_rate": 2},
    "affine_alpha1": {"input_affine": True, "parameterization": "alpha1", "strides": 2, "padding": "same"},
    "alpha1": {"parameterization": "alpha1", "kernel_initializer": tk.SmartAlpha1(), "use_bias": False},
    "quantile": {"window_rule": tk.TrackQuantile(0.9, margin=0.1, momentum=0.5)},
    "perturbed": {
        "input_affine": True,
        "perturbation": [tk.WeightQuantization(4), tk.SpikeTimeJitter(0.05, seed=1), tk.TimeQuantization(3)],
    },
}

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def convolutions(draw):
    """Return the arguments of a convolution and the shape of its images."""
    strides, dilation = draw(st.tuples(pairs, pairs).filter(lambda both: 1 in (max(both[0]), max(both[1]))))
    groups = draw(st.sampled_from([1, 1, 2]))
    options = {
        "filters": groups * draw(st.integers(1, 2)),
        "kernel_size": draw(pairs),
        "strides": strides,
        "dilation_rate": dilation,
        "groups": groups,
        "padding": draw(st.sampled_from(["same", "valid"])),
        "use_bias": draw(st.booleans()),
    }
    size = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    if options["padding"] == "valid":
        reach = [(k - 1) * d for k, d in zip(options["kernel_size"], dilation, strict=True)]
        assume(all(n > r for n, r in zip(size, reach, strict=True)))
    return options, (*size, groups * draw(st.integers(1, 2)))


def relu_twin(layer, shape, options):
    """Return a built Keras layer with the kernel and bias of a TTFS layer."""
    relu = keras.layers.Conv2D(activation="relu", dtype=layer.dtype, **options)
    relu.build((None, *shape))
    relu.set_weights([variable.numpy() for variable in (layer.kernel, layer.bias) if variable is not None])
    return relu


@pytest.mark.parametrize("variant", VARIANTS)
def test_is_a_well_behaved_layer(variant, tmp_path):
    options = VARIANTS[variant]
    run_layer_test(lambda: tk.TTFSConv2D(4, 3, dtype="float64", **options), lead_times((3, 6, 5, 2)), tmp_path)


@settings(deadline=None, max_examples=30)
@given(convolution=convolutions(), seed=st.integers(0, 99))
def test_is_relu_inside_the_window_and_clipped_at_it(convolution, seed):
    options, shape = convolution
    layer = tk.TTFSConv2D(dtype="float64", **options)
    layer.build((None, *shape))
    randomize(layer, seed)
    inputs = lead_times((2, *shape), seed)
    expected = relu_twin(layer, shape, options)(inputs).numpy()
    for window in (1000.0, 0.3):
        layer.window.assign(window)
        np.testing.assert_allclose(layer(inputs), np.minimum(expected, window), rtol=0, atol=FLOAT64)


@settings(deadline=None, max_examples=30)
@given(convolution=convolutions(), seed=st.integers(0, 99))
def test_input_affine_is_the_convolution_of_scaled_and_shifted_inputs_padded_with_zeros(convolution, seed):
    options, shape = convolution
    layer = tk.TTFSConv2D(dtype="float64", window=1000.0, input_affine=True, **options)
    layer.build((None, *shape))
    randomize(layer, seed)
    random = np.random.default_rng(seed)
    scale, offset = random.normal(size=(2, shape[-1])) * random.integers(0, 2, (2, shape[-1]))
    layer.input_affine.scale.assign(scale)
    layer.input_affine.offset.assign(offset)
    inputs = lead_times((2, *shape), seed)
    expected = relu_twin(layer, shape, options)(scale * inputs + offset)
    np.testing.assert_allclose(layer(inputs), expected, rtol=0, atol=FLOAT64)


def test_border_of_an_affine_input_stays_exact_while_it_trains():
    options = {"filters": 3, "kernel_size": 3, "padding": "same"}
    layer = tk.TTFSConv2D(dtype="float64", input_affine=True, **options)
    model = keras.Sequential([keras.Input((4, 4, 2), dtype="float64"), layer])
    layer.input_affine.scale.assign([-0.7, 1.3])
    inputs = lead_times((8, 4, 4, 2))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(inputs, np.ones((8, 4, 4, 3)), epochs=3, verbose=0)
    offset = layer.input_affine.offset.numpy()
    assert (abs(offset) > 1e-3).all(), "the offset does not train"
    expected = relu_twin(layer, (4, 4, 2), options)([-0.7, 1.3] * inputs + offset)
    np.testing.assert_allclose(layer(inputs), np.minimum(expected, layer.window.numpy()), rtol=0, atol=FLOAT64)


def test_images_of_unknown_size_are_convolved():
    layer = tk.TTFSConv2D(3, 3, padding="same", input_affine=True, window=100.0, dtype="float64")
    model = keras.Sequential([keras.Input((None, None, 2), dtype="float64"), layer])
    randomize(layer)
    graph = tf.function(model, input_signature=[tf.TensorSpec((None, None, None, 2), tf.float64)])
    for size in (3, 5):
        inputs = tf.constant(lead_times((2, size, size, 2)))
        np.testing.assert_allclose(graph(inputs), layer(inputs), rtol=0, atol=FLOAT64)


def test_an_empty_batch_has_the_right_shape_in_float32_where_tensorflow_errs():
    layer = tk.TTFSConv2D(3, 3)
    assert layer(np.zeros((0, 5, 5, 2), "float32")).shape == (0, 3, 3, 3)


def test_float32_equals_float64():
    outputs = {}
    for dtype in ("float64", "float32"):
        layer = tk.TTFSConv2D(16, 3, padding="same", input_affine=True, window=1000.0, dtype=dtype)
        layer.build((None, 9, 9, 64))
        randomize(layer)
        outputs[dtype] = layer(lead_times((4, 9, 9, 64), dtype=dtype)).numpy()
    scale = FLOAT32 * outputs["float64"].max()
    np.testing.assert_allclose(outputs["float32"], outputs["float64"], rtol=FLOAT32, atol=scale)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((), {"activation": "relu"}, "TTFSConv2D takes no activation"),
        (((1, 1), "valid", None, (1, 1), 1, "relu"), {}, "TTFSConv2D takes no activation"),
        ((), {"data_format": "channels_first"}, "Expected data_format='channels_last'"),
        ((), {"window": -1}, "Expected window > 0"),
    ],
)
def test_bad_arguments_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        tk.TTFSConv2D(3, 3, *arguments, **options)
