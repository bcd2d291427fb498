import pytest
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import FLATTEN, RELU, TOLERANCE, conv, dense, error, images, norm, sequential

DROPOUT = (layers.Dropout, {"rate": 0.9})


def test_flatten_repeats_scale_and_offset_for_every_position():
    model = sequential((3, 2, 2), conv(3, kernel_size=1), norm(), FLATTEN, norm(), dense(5, activation="relu"), dense())
    x = images(model, (-1, 2))
    snn = tk.convert(model, x, (-1, 2))
    assert error(model, snn, x) <= TOLERANCE["float64"]
    assert isinstance(snn.get_layer("flatten_2"), layers.Flatten)


@pytest.mark.parametrize("place", range(5))
def test_dropout_disappears(place):
    stack = [conv(activation=None), RELU, norm(), FLATTEN, dense()]
    stack.insert(place, DROPOUT)
    model = sequential((4, 4, 1), *stack, DROPOUT)
    x = images(model)
    snn = tk.convert(model, x)
    assert error(model, snn, x) <= TOLERANCE["float64"]
    assert not any(isinstance(layer, layers.Dropout) for layer in snn.layers)


MOVES = {
    "Flatten": (layers.Flatten, {}),
    "Reshape": (layers.Reshape, {"target_shape": (2, 4, 6)}),
    "Permute": (layers.Permute, {"dims": (3, 1, 2)}),
    "ZeroPadding2D": (layers.ZeroPadding2D, {"padding": ((1, 0), (0, 2))}),
    "Cropping2D": (layers.Cropping2D, {"cropping": ((1, 0), (0, 1))}),
    "UpSampling2D": (layers.UpSampling2D, {"size": (2, 1)}),
}


@pytest.mark.parametrize("place", ["input", "linear", "before ReLU", "behind a norm", "output"])
@pytest.mark.parametrize("kind", MOVES)
def test_moved_values_keep_scale_and_offset(kind, place):
    stack = [conv(3, kernel_size=2, padding="same", activation=None), norm(), RELU, norm(), dense()]
    stack.insert({"input": 0, "linear": 1, "before ReLU": 2, "behind a norm": 4, "output": 5}[place], MOVES[kind])
    shape = (4, 4, 3)
    model = sequential(shape, *(stack[1:] if kind == "Flatten" and place == "input" else stack))
    x = images(model, (-1, 2))
    assert error(model, tk.convert(model, x, (-1, 2)), x) <= TOLERANCE["float64"]


NOTHING = {
    "Dropout": {"rate": 0.9}, "SpatialDropout2D": {"rate": 0.9}, "AlphaDropout": {"rate": 0.9}, "Identity": {},
    "GaussianDropout": {"rate": 0.9}, "GaussianNoise": {"stddev": 1.0}, "ActivityRegularization": {"l1": 1.0},
    "RandomFlip": {}, "RandomRotation": {"factor": 0.5}, "RandomBrightness": {"factor": 0.5},
    "RandomTranslation": {"height_factor": 0.5, "width_factor": 0.5},
    "RandomZoom": {"height_factor": 0.5}, "RandomContrast": {"factor": 0.5},
}  # fmt: skip


@pytest.mark.parametrize("kind", NOTHING)
def test_layers_of_training_only_disappear(kind):
    step = (getattr(layers, kind), NOTHING[kind])
    model = sequential((3, 4, 2), step, conv(padding="same"), step, FLATTEN, dense())
    x = images(model)
    snn = tk.convert(model, x)
    assert error(model, snn, x) <= TOLERANCE["float64"]
    assert not any(type(layer).__name__ == kind for layer in snn.layers)


@pytest.mark.parametrize("kind", ["bilinear", "bicubic", "lanczos3"])
@pytest.mark.parametrize("step", [(layers.UpSampling2D, {}), (layers.Resizing, {"height": 5, "width": 3})])
def test_interpolation_is_a_sum_with_fixed_weights(step, kind):
    step = step[0], step[1] | {"interpolation": kind}
    model = sequential((3, 4, 2), conv(kernel_size=1), norm(), step, norm(), conv(kernel_size=2), FLATTEN, dense())
    x = images(model)
    # TensorFlow resizes in float32.
    assert error(model, tk.convert(model, x), x) <= TOLERANCE["float32"]
