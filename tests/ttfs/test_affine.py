import keras
import numpy as np
import pytest

from tests.layer_harness import lead_times, run_layer_test
from tests.tolerances import FLOAT64
from ttfs_keras.ttfs.affine import Affine

VARIANTS = {"channels": {}, "scalar": {"affine_shape": (1,)}, "sample": {"affine_shape": (3, 4, 2)}}


@pytest.mark.parametrize("variant", VARIANTS)
def test_is_a_well_behaved_layer(variant, tmp_path):
    run_layer_test(lambda: Affine(dtype="float64", **VARIANTS[variant]), lead_times((6, 3, 4, 2)), tmp_path)


@pytest.mark.parametrize("shape", [(2,), (1,), (4, 1), (3, 4, 2)])
def test_scales_and_shifts(shape):
    layer = Affine(shape, dtype="float64")
    layer.build((None, 3, 4, 2))
    scale, offset = np.random.default_rng(0).normal(size=(2, *shape))
    layer.scale.assign(scale)
    layer.offset.assign(offset)
    inputs = lead_times((5, 3, 4, 2))
    np.testing.assert_allclose(layer(inputs), scale * inputs + offset, rtol=0, atol=FLOAT64)


def test_starts_as_the_identity_and_trains_only_its_offset():
    layer = Affine(dtype="float64")
    inputs = lead_times((5, 3, 4, 2))
    np.testing.assert_array_equal(layer(inputs), inputs)
    assert [variable.name for variable in layer.trainable_variables] == ["offset"]
    model = keras.Sequential([keras.Input((3, 4, 2), dtype="float64"), layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(inputs, np.ones_like(inputs), verbose=0)
    np.testing.assert_array_equal(layer.scale, np.ones(2))
    assert (np.asarray(layer.offset) > 0).all()
