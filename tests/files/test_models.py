import keras
import numpy as np
import pytest

from tests.files.limits import file_size
from ttfs_keras.files.models import save_model, save_weights


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(50, "relu"), keras.layers.Dense(3)])
    model.compile("adam", "mse")
    model.fit(np.ones((2, 40)), np.ones((2, 3)), verbose=0)
    return model


def test_models_and_weights_are_read_back(model, tmp_path):
    save_model(model, tmp_path / "new" / "model.keras")
    save_weights(model, tmp_path / "best.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "new" / "model.keras")
    assert int(loaded.optimizer.iterations) == 1
    for old, new in zip(model.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(old, new)
    for v in loaded.variables:
        v.assign(np.zeros(v.shape))
    loaded.load_weights(tmp_path / "best.weights.h5")
    for old, new in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(("save", "name"), [(save_model, "model.keras"), (save_weights, "model.weights.h5")])
def test_a_file_that_cannot_be_written_stays_what_it_was(model, tmp_path, save, name):
    """Where HDF5 writes it, the process ends in a segmentation fault."""
    path = tmp_path / name
    path.write_text("old")
    with file_size(8000), pytest.raises(OSError, match=f"File too large: .*{name}"):
        save(model, path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
