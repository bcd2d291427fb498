"""Models that version 0.1.0 saved, one of each family and one of its layers: they load and compute what they did."""

from pathlib import Path

import keras
import numpy as np
import pytest

import ttfs_keras  # noqa: F401 - registers the layers
from tests.tolerances import FLOAT32

SAVED = Path(__file__).parent / "saved"


@pytest.mark.parametrize("name", ["ttfs", "ttfs_layers", "bats", "stbp", "stbp_layers"])
def test_models_of_earlier_versions_load(name):
    model = keras.saving.load_model(SAVED / f"{name}.keras")
    with np.load(SAVED / f"{name}.npz") as stored:
        x, expected = stored["x"], stored["y"]
    outputs = np.asarray(model(x, training=False))
    assert np.array_equal(np.isfinite(outputs), np.isfinite(expected))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=FLOAT32 * np.abs(expected[np.isfinite(expected)]).max())
