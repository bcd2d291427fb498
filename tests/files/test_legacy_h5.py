import collections

import h5py
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import ttfs_keras as tk
from tests.conversion.sources import FLATTEN, TOLERANCE, conv, dense, error, images, norm, pool, sequential
from ttfs_keras.models import vgg16

# What tf_keras itself says of the format that these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")

OURS = {"conv": "conv", "norm": "norm", "dense": "dense"}
KERAS2 = {"conv": "conv2d", "norm": "batch_normalization", "dense": "dense"}


@pytest.fixture(scope="module")
def tf_keras():
    return pytest.importorskip("tf_keras")


def small(names=OURS):
    """VGG in miniature: conv-ReLU-BN twice, pool, dense-ReLU-BN, logits."""
    return sequential(
        (6, 6, 3),
        conv(4, padding="same", name=f"{names['conv']}_1"), norm(name=f"{names['norm']}_1"),
        conv(5, padding="same", name=f"{names['conv']}_2"), norm(name=f"{names['norm']}_2"), pool(), FLATTEN,
        dense(7, activation="relu", name=f"{names['dense']}_1"), norm(name=f"{names['norm']}_3"),
        dense(4, name=f"{names['dense']}_2"),
    )  # fmt: skip


def keras2_twin(tf_keras, model, names=KERAS2, seed=3):
    """Build the same layers in Keras 2 with Keras 2's names and dropouts between them, and random weights."""
    old, counts = tf_keras.layers, dict.fromkeys(names, 0)

    def name(kind):
        counts[kind] += 1
        return f"{names[kind]}_{counts[kind]}"

    twin = tf_keras.Sequential([old.InputLayer(model.input_shape[1:], dtype="float64")])
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            twin.add(
                old.Conv2D(
                    layer.filters,
                    layer.kernel_size,
                    padding="same",
                    activation="relu",
                    name=name("conv"),
                    kernel_regularizer=tf_keras.regularizers.L2(5e-4),
                    dtype="float64",
                )
            )
        elif isinstance(layer, layers.BatchNormalization):
            twin.add(old.BatchNormalization(name=name("norm"), dtype="float64"))
            twin.add(old.Dropout(0.3, dtype="float64"))
        elif isinstance(layer, layers.MaxPooling2D):
            twin.add(old.MaxPooling2D(dtype="float64"))
        elif isinstance(layer, layers.Flatten):
            twin.add(old.Flatten(dtype="float64"))
        elif isinstance(layer, layers.Dense):
            activation = layer.activation.__name__
            twin.add(old.Dense(layer.units, activation=activation, name=name("dense"), dtype="float64"))
    random = np.random.default_rng(seed)
    for layer in twin.layers:
        if isinstance(layer, old.BatchNormalization):
            shape = layer.gamma.shape
            gamma, beta, mean = random.normal(0, 1, (3, *shape))
            layer.set_weights([gamma, beta, 2 * mean, random.uniform(0.2, 4, shape)])
            assert (gamma < 0).any() or len(gamma) < 6
        elif layer.weights:
            kernel, bias = (w.shape for w in layer.weights)
            scale = np.sqrt(2 / np.prod(kernel[:-1]))
            layer.set_weights([random.normal(0, scale, kernel), random.normal(0, 0.3, bias)])
    return twin


def save(twin, path, whole):
    if whole:
        twin.save(path)
    else:
        twin.save_weights(path)


@pytest.mark.parametrize("whole", [False, True], ids=["save_weights", "save"])
@pytest.mark.parametrize("names", [KERAS2, OURS], ids=["in order", "by name"])
def test_logits_are_those_of_keras_2(tf_keras, tmp_path, names, whole):
    model = small()
    twin = keras2_twin(tf_keras, model, names)
    save(twin, tmp_path / "old.h5", whole)
    report = tk.load_legacy_h5(model, tmp_path / "old.h5")
    stored = [layer.name for layer in twin.layers if layer.weights]
    assert report.matched == tuple(zip((layer.name for layer in model.layers if layer.weights), stored, strict=True))
    assert report.missing == report.unused == ()
    x = images(model, (-3, 3))
    expected = twin.predict(x, verbose=0)
    np.testing.assert_allclose(model(x), expected, atol=TOLERANCE["float64"] * max(1, np.abs(expected).max()))
    snn = tk.convert(model, x, (-3, 3))
    np.testing.assert_allclose(snn(x), expected, atol=TOLERANCE["float64"] * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("seed", [0, 1])
def test_cifar10vgg_layout(tf_keras, tmp_path, monkeypatch, seed):
    blocks = ((4, 4), (6, 6), (7, 7, 7), (8, 8, 8), (8, 8, 8))
    monkeypatch.setattr(vgg16, "CIFAR", (blocks, (8,)))
    model = vgg16.vgg16((32, 32, 3), 10, batch_norm=True, dtype="float64")
    twin = keras2_twin(tf_keras, model, seed=seed)
    twin.save_weights(tmp_path / "cifar10vgg.h5")
    assert "dense_1" in {layer.name for layer in model.layers} & {layer.name for layer in twin.layers}
    report = tk.load_legacy_h5(model, tmp_path / "cifar10vgg.h5")
    assert len(report.matched) == 29 and report.missing == report.unused == ()
    assert dict(report.matched)["dense_1"] == "dense_1" and dict(report.matched)["conv_3_1"] == "conv2d_5"
    x = images(model, (-3, 3), samples=3)
    expected = twin.predict(x, verbose=0)
    np.testing.assert_allclose(model(x), expected, atol=TOLERANCE["float64"] * max(1, np.abs(expected).max()))
    assert error(model, tk.convert(model, x, (-3, 3)), x) <= TOLERANCE["float64"]


def write(path, layers_):
    """Write the Keras-2 layout: a list of names, and a group with a list of weights for each layer."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers_]
        for name, arrays in layers_.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{n}:0".encode() for n in range(len(arrays))]
            for n, array in enumerate(arrays):
                group[f"{name}/{n}:0"] = array
    return path


def weights_of(model):
    return {layer.name: layer.get_weights() for layer in model.layers}


@pytest.fixture
def model():
    return sequential((3,), dense(4, activation="relu", name="first"), norm(name="norm"), dense(2, name="last"))


def refused(model, path, message):
    """Check the error, and that the model kept its weights."""
    before = model.get_weights()
    with pytest.raises(tk.WeightsError, match=message) as caught:
        tk.load_legacy_h5(model, path)
    assert str(path) in str(caught.value)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    return str(caught.value)


def test_names_in_another_order(model, tmp_path):
    content = weights_of(model)
    path = write(tmp_path / "w.h5", dict(reversed(content.items())))
    for layer in model.layers:
        layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    assert tk.load_legacy_h5(model, path).missing == ()
    for layer in model.layers:
        for old, new in zip(content[layer.name], layer.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


def test_missing_and_unused_are_reported(model, tmp_path):
    content = weights_of(model)
    content["other"], content["more"], content["dropout"] = content.pop("last"), [np.zeros(2)], []
    report = tk.load_legacy_h5(model, write(tmp_path / "w.h5", content))
    assert report.matched == (("first", "first"), ("norm", "norm"))
    assert report.missing == ("last",) and report.unused == ("other", "more")
    assert "2 layers loaded" in str(report) and "last" in str(report) and "more" in str(report)


def test_no_file(model, tmp_path):
    refused(model, tmp_path / "none.h5", "none.h5")


def test_truncated_file(model, tmp_path):
    path = write(tmp_path / "w.h5", weights_of(model))
    path.write_bytes(path.read_bytes()[:-200])
    refused(model, path, "readable Keras-2 weight file")


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all" * 100], ids=["empty", "text"])
def test_no_hdf5(model, tmp_path, content):
    (tmp_path / "w.h5").write_bytes(content)
    refused(model, tmp_path / "w.h5", "readable Keras-2 weight file")


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_files_of_keras_3(model, tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    model.save(path) if suffix == ".keras" else model.save_weights(path)
    refused(model, path, "Keras-2 weight file")


def test_layer_without_its_weights(model, tmp_path):
    path = write(tmp_path / "w.h5", weights_of(model))
    with h5py.File(path, "a") as file:
        del file["norm"]["norm/2:0"]
    refused(model, path, "readable Keras-2 weight file")


@pytest.mark.parametrize("rename", [False, True], ids=["by name", "in order"])
def test_all_wrong_shapes_are_listed(model, tmp_path, rename):
    content = weights_of(model)
    content["first"][0] = np.zeros((5, 4))
    content["last"] = content["last"][:1]
    if rename:
        content = {f"old_{name}": arrays for name, arrays in content.items()}
    message = refused(model, write(tmp_path / "w.h5", content), r"first: expected shapes \[\(3, 4\), \(4,\)\]")
    assert "last: expected shapes [(4, 2), (2,)]. Received: [(4, 2)]" in message and "norm:" not in message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(model, tmp_path, value):
    content = weights_of(model)
    content["norm"][2][1] = value
    refused(model, write(tmp_path / "w.h5", content), "norm: expected finite weights")


def test_neither_names_nor_number_match(model, tmp_path):
    refused(model, write(tmp_path / "w.h5", {"a": [np.zeros(2)], "b": [np.zeros(2)]}), "expected 3 layers.*Received: 2")


def test_other_float_type(model, tmp_path):
    content = {name: [w.astype("float32") for w in arrays] for name, arrays in weights_of(model).items()}
    tk.load_legacy_h5(model, write(tmp_path / "w.h5", content))
    assert {v.dtype for v in model.variables} == {"float64"}
    np.testing.assert_array_equal(model.layers[0].kernel, content["first"][0])


def test_sequential_and_functional_models(tmp_path):
    inputs = keras.Input((3,), dtype="float64")
    model = keras.Model(inputs, layers.Dense(2, name="end", dtype="float64")(inputs))
    kernel, bias = np.ones((3, 2)), np.full(2, 2.0)
    assert tk.load_legacy_h5(model, write(tmp_path / "w.h5", {"end": [kernel, bias]})).matched == (("end", "end"),)
    np.testing.assert_array_equal(model(np.ones((1, 3))), [[5, 5]])


# What is in a model: "dense", "norm", ("again", n), the n-th of those before it once more, or (frozen, [...]), a model.
LEAVES = st.sampled_from(["dense", "norm"]) | st.tuples(st.just("again"), st.integers(0, 3))
FROZEN = st.booleans()


def frozen(leaves):
    return st.tuples(FROZEN, leaves)


CONTENTS = st.recursive(
    st.lists(frozen(LEAVES), min_size=1, max_size=4),
    lambda inner: st.lists(frozen(LEAVES | inner), min_size=1, max_size=4),
    max_leaves=10,
)


def built(library, content, names, thaw=False):
    """Return a model of 3 features of either Keras; `names` is called with what a layer is and names it."""
    made = []

    def model(content, name):
        x = inputs = library.Input((3,), dtype="float64")
        for fixed, what in content:
            if what in ("dense", "norm"):
                kind = library.layers.Dense if what == "dense" else library.layers.BatchNormalization
                arguments = {"units": 3} if what == "dense" else {}
                made.append(kind(**arguments, name=names(what), dtype="float64"))
            elif isinstance(what, list):
                made.append(model(what, names("model")))
            elif made:
                x = made[what[1] % len(made)](x)
                continue
            else:
                continue
            x = made[-1](x)
            if fixed and not thaw:
                made[-1].trainable = False
        return library.Model(inputs, x, name=name)

    return model(content, "whole")


def named(first, names=KERAS2):
    """Return a function that names layers as Keras does, from a first number on."""
    counts = collections.Counter()

    def name(what):
        counts[what] += 1
        number = first + counts[what] - 1
        return f"{names.get(what, what)}_{number}" if number else names.get(what, what)

    return name


def filled(twin):
    """Give a Keras-2 model random weights, and return what it makes of random inputs, with these."""
    random = np.random.default_rng(0)
    for v in twin.variables:
        v.assign(random.uniform(0.3, 2, v.shape) if "variance" in v.name else random.normal(0, 0.7, v.shape))
    x = random.normal(size=(4, 3))
    return x, np.asarray(twin(x))


@settings(deadline=None, max_examples=60)
@given(CONTENTS, st.sampled_from([0, 1, 9]), st.booleans())
def test_nested_frozen_and_shared_models(tf_keras, tmp_path_factory, content, first, thaw):
    """Names are those of the file or count on from another number; what is frozen now need not be what was."""
    path = tmp_path_factory.mktemp("nested") / "old.h5"
    twin = built(tf_keras, content, named(0))
    x, expected = filled(twin)
    twin.save_weights(path)
    model = built(keras, content, named(first), thaw)
    if model.weights:
        tk.load_legacy_h5(model, path)
    np.testing.assert_allclose(model(x), expected, rtol=TOLERANCE["float64"], atol=TOLERANCE["float64"])


@settings(deadline=None, max_examples=60)
@given(CONTENTS)
def test_nested_models_of_other_names_are_right_or_refused(tf_keras, tmp_path_factory, content):
    path = tmp_path_factory.mktemp("nested") / "old.h5"
    twin = built(tf_keras, content, named(0))
    x, expected = filled(twin)
    twin.save_weights(path)
    model = built(keras, content, named(1, {"dense": "linear", "norm": "scale", "model": "part"}))
    if model.weights:
        before = model.get_weights()
        try:
            tk.load_legacy_h5(model, path)
        except tk.WeightsError as error:
            assert "expected layers within it as in the file, " in str(error)
            for old, new in zip(before, model.get_weights(), strict=True):
                np.testing.assert_array_equal(old, new)
            return
    np.testing.assert_allclose(model(x), expected, rtol=TOLERANCE["float64"], atol=TOLERANCE["float64"])


@pytest.mark.parametrize(
    "inner",
    [
        [(True, "dense"), (False, "dense")],
        [(False, "norm"), (False, "dense"), (False, "norm")],
        [(False, "norm"), (True, "norm")],
    ],
    ids=["frozen dense", "norm dense norm", "norm norm"],
)
@pytest.mark.parametrize("names", [KERAS2, {"dense": "linear", "norm": "scale"}], ids=["same", "other"])
def test_weights_of_equal_shapes_are_not_swapped(tf_keras, tmp_path, inner, names):
    content = [(False, inner), (False, "dense")]
    twin = built(tf_keras, content, named(0))
    x, expected = filled(twin)
    twin.save_weights(tmp_path / "old.h5")
    model = built(keras, content, named(0, names))
    if names is KERAS2:
        tk.load_legacy_h5(model, tmp_path / "old.h5")
        np.testing.assert_allclose(model(x), expected, rtol=TOLERANCE["float64"])
    else:
        kind = inner[0][1]
        refused(model, tmp_path / "old.h5", f"model: expected layers .*{KERAS2[kind]}.*Received: {names[kind]}")


def test_layers_within_a_model_are_told_apart_by_their_shapes(tf_keras, tmp_path):
    def stack(library, dense_, norm_, last):
        some = [library.layers.Dense(4, name=dense_), library.layers.BatchNormalization(name=norm_)]
        inner = library.Sequential([library.Input((3,)), *some, library.layers.Dense(5, name=last)], name="inner")
        some[0].trainable = False
        return library.Sequential([library.Input((3,)), inner])

    twin = stack(tf_keras, "a", "b", "c")
    x, expected = filled(twin)
    twin.save_weights(tmp_path / "old.h5")
    model = stack(keras, "first", "second", "third")
    tk.load_legacy_h5(model, tmp_path / "old.h5")
    np.testing.assert_allclose(model(x), expected, rtol=TOLERANCE["float32"], atol=TOLERANCE["float32"])


def test_wrapped_layers_and_cells(tf_keras, tmp_path):
    def stack(library):
        kind = library.layers
        inner = library.Sequential(
            [library.Input((4,)), kind.BatchNormalization(), kind.Dense(4), kind.BatchNormalization()]
        )
        some = [kind.Bidirectional(kind.LSTM(2, return_sequences=True)), kind.TimeDistributed(inner), kind.GRU(3)]
        return library.Sequential([library.Input((3, 4)), *some])

    twin = stack(tf_keras)
    random = np.random.default_rng(1)
    twin.set_weights([random.uniform(0.2, 1, w.shape) for w in twin.get_weights()])
    twin.save_weights(tmp_path / "old.h5")
    model, x = stack(keras), np.random.default_rng(0).normal(size=(2, 3, 4))
    tk.load_legacy_h5(model, tmp_path / "old.h5")
    np.testing.assert_allclose(model(x), twin(x), rtol=TOLERANCE["float32"], atol=TOLERANCE["float32"])
