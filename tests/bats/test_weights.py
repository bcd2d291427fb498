import io

import keras
import numpy as np
import pytest

from ttfs_keras import WeightsError, bats


def network(seed=0, dtype="float32", nested=False):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((5, 4, 2, 1))
    x = bats.BATSConv2D(3, (2, 3), name="conv", dtype=dtype)(inputs)
    x = bats.FlattenSpikes(dtype=dtype)(x)
    x = bats.BATSDense(6, name="hidden", dtype=dtype)(x)
    x = bats.BATSDense(4, name="output", dtype=dtype)(x)
    model = keras.Model(inputs, x)
    return keras.Sequential([inputs, model]) if nested else model


def kernels(model):
    return {w.path.split("/")[0]: np.asarray(w) for w in model.weights if w.name == "kernel"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_round_trip_with_neurons_first(tmp_path, dtype):
    model = network(dtype=dtype)
    bats.save_weights(model, tmp_path / "best_model")
    arrays = {path.name: np.load(path) for path in (tmp_path / "best_model").iterdir()}
    assert {name: array.shape for name, array in arrays.items()} == {
        "conv_weights.npy": (3, 2, 3, 2),
        "hidden_weights.npy": (6, 24),
        "output_weights.npy": (4, 6),
    }
    np.testing.assert_array_equal(arrays["hidden_weights.npy"].T, kernels(model)["hidden"])
    for neuron in range(3):
        np.testing.assert_array_equal(arrays["conv_weights.npy"][neuron], kernels(model)["conv"][..., neuron])
    other = network(seed=1, dtype=dtype)
    bats.load_weights(other, tmp_path / "best_model")
    for name, kernel in kernels(model).items():
        np.testing.assert_array_equal(kernels(other)[name], kernel)
    assert arrays["conv_weights.npy"].dtype == dtype


def test_nested_models_have_the_same_files(tmp_path):
    nested = network(nested=True)
    bats.save_weights(nested, tmp_path)
    other = network(seed=1)
    bats.load_weights(other, tmp_path)
    inner = nested.layers[0]
    for name, kernel in kernels(inner).items():
        np.testing.assert_array_equal(kernels(other)[name], kernel)


def test_other_kinds_of_numbers_are_converted(tmp_path):
    model = network()
    bats.save_weights(model, tmp_path)
    np.save(tmp_path / "output_weights.npy", np.arange(24).reshape(4, 6))
    np.save(tmp_path / "hidden_weights.npy", np.full((6, 24), 0.1))
    bats.load_weights(model, tmp_path)
    np.testing.assert_array_equal(kernels(model)["output"], np.arange(24).reshape(4, 6).T)
    np.testing.assert_array_equal(kernels(model)["hidden"], np.full((24, 6), np.float32(0.1)))


def written(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


GOOD = np.ones((6, 24), "float32")
BROKEN = {
    "missing": (None, "No such file"),
    "empty": (b"", "No data left in file"),
    "truncated": (written(GOOD)[:-10], ""),
    "cut header": (written(GOOD)[:40], ""),
    "garbage": (b"weights", ""),
    "wrong shape": (written(GOOD.T), r"expected shape (6, 24), neurons first. Received: (24, 6)"),
    "scalar": (written(np.float32(1)), "Received: ()"),
    "NaN": (written(np.where(np.eye(6, 24) > 0, np.nan, 1)), "expected finite weights"),
    "infinity": (written(GOOD * np.inf), "expected finite weights"),
    "more than float32 holds": (written(GOOD * np.float64(1e200)), "expected finite weights"),
    "complex": (written(GOOD * 1j), "expected an array of real numbers. Received: complex"),
    "text": (written(GOOD.astype(str)), "expected an array of real numbers. Received: <U"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_files_that_do_not_fit_are_all_named_and_nothing_is_assigned(tmp_path, kind):
    content, message = BROKEN[kind]
    bats.save_weights(network(seed=1), tmp_path)
    hidden, output = (tmp_path / f"{name}_weights.npy" for name in ("hidden", "output"))
    output.unlink()
    hidden.unlink()
    if content is not None:
        hidden.write_bytes(content)
    model = network()
    before = kernels(model)
    with pytest.raises(WeightsError) as error:
        bats.load_weights(model, tmp_path)
    text = str(error.value)
    assert str(tmp_path) in text and f"{hidden}: " in text and f"{output}: " in text and "conv_weights" not in text
    assert message in text
    for name, kernel in kernels(model).items():
        np.testing.assert_array_equal(kernel, before[name])


def test_pickles_are_not_opened(tmp_path):
    bats.save_weights(network(), tmp_path)
    np.save(tmp_path / "output_weights.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(WeightsError, match=r"output_weights\.npy"):
        bats.load_weights(network(), tmp_path)


def test_layers_of_the_same_name_are_refused(tmp_path):
    inputs = keras.Input((5, 4, 2, 1))
    twice = keras.Model(inputs, [keras.Sequential([inputs, network()])(inputs), network()(inputs)])
    for function in (bats.save_weights, bats.load_weights):
        with pytest.raises(ValueError, match="Received twice: conv, hidden, output"):
            function(twice, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_weights(tmp_path, monkeypatch):
    bats.save_weights(network(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(file, array):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(OSError, match="No space"):
        bats.save_weights(network(seed=1), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
