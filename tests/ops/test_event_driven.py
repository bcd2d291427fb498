import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import ttfs_keras as tk
from tests.tolerances import EVENT_DRIVEN32, EVENT_DRIVEN64
from ttfs_keras.ops import event_driven as ops
from ttfs_keras.ops import library as loader

pytestmark = pytest.mark.skipif(loader.find() is None, reason="the op library was not built")

TOLERANCE = {"float64": EVENT_DRIVEN64, "float32": EVENT_DRIVEN32}
sizes = st.integers(1, 3)


def sparse(rng, shape, share, dtype):
    return (rng.uniform(0.1, 2, shape) * (rng.uniform(size=shape) < share)).astype(dtype)


def fired(potential, window):
    return potential if window is None else np.minimum(np.maximum(potential, 0), window)


def assert_close(found, expected, dtype):
    largest = np.abs(expected).max(initial=1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype] * largest)


def convolution(lead, kernel, strides, dilations, padding, groups):
    """Return TensorFlow's convolution in float64, group by group: strides and dilations in one are not supported."""
    top, bottom, left, right = padding
    padded = np.pad(lead.astype("float64"), [(0, 0), (top, bottom), (left, right), (0, 0)])
    inputs, kernels = np.split(padded, groups, -1), np.split(kernel.astype("float64"), groups, -1)
    outputs = [tf.nn.convolution(x, w, 1, "VALID", dilations=dilations) for x, w in zip(inputs, kernels, strict=True)]
    return np.concatenate(outputs, -1)[:, :: strides[0], :: strides[1]]


@st.composite
def convolutions(draw):
    """Return (arguments of the op, shape of the image, channels of a group, filters of a group)."""
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    padding = [draw(st.integers(0, 3)) for _ in range(4)]
    room = height + padding[0] + padding[1], width + padding[2] + padding[3]
    kernel_size = [draw(st.integers(1, min(5, n))) for n in room]
    dilations = [
        draw(st.integers(1, max(1, min(3, (n - 1) // max(k - 1, 1))))) for n, k in zip(room, kernel_size, strict=True)
    ]
    arguments = {
        "kernel_size": kernel_size,
        "strides": [draw(sizes), draw(sizes)],
        "dilations": dilations,
        "padding": padding,
        "groups": draw(sizes),
    }
    return arguments, (draw(sizes), height, width), draw(st.sampled_from([1, 2, 17, 150])), draw(st.integers(1, 70))


@settings(deadline=None, max_examples=80)
@given(
    convolutions(), st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.sampled_from([None, 1.5]), st.booleans(),
    st.sampled_from(["float64", "float32"]), st.integers(0, 99),
)  # fmt: skip
def test_convolution_equals_tensorflows(case, share, window, mapped, dtype, seed):
    arguments, image, channels, filters = case
    rng, groups = np.random.default_rng(seed), arguments["groups"]
    lead = sparse(rng, (*image, channels * groups), share, dtype)
    kernel = rng.normal(size=(*arguments["kernel_size"], channels, filters * groups)).astype(dtype)
    movement = (arguments["strides"], arguments["dilations"], arguments["padding"], groups)
    expected = convolution(lead, kernel, *movement)
    bias = rng.normal(size=expected.shape[1:] if mapped else expected.shape[-1:]).astype(dtype)
    output, applied = ops.conv2d(lead, ops.pack_conv2d(kernel, groups), bias, window, **arguments)
    assert_close(output, fired(expected + bias, window), dtype)
    reached = convolution(lead != 0, np.ones_like(kernel), *movement)
    assert int(applied) == round(reached.sum())


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5), sizes, st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from(["float64", "float32"]))
def test_depthwise_convolution_equals_tensorflows(side, stride, share, dtype):
    rng = np.random.default_rng(side)
    lead = sparse(rng, (2, side, side, 19), share, dtype)
    kernel, bias = rng.normal(size=(3, 3, 1, 19)).astype(dtype), rng.normal(size=19).astype(dtype)
    arguments = {"strides": (stride, stride), "dilations": (1, 1), "padding": (1, 1, 1, 1), "groups": 19}
    packed = ops.pack_conv2d(kernel, 19)
    assert packed.shape == (3, 3, 19)
    output, applied = ops.conv2d(lead, packed, bias, 1.0, kernel_size=(3, 3), **arguments)
    assert_close(output, fired(convolution(lead, kernel, **arguments) + bias, 1.0), dtype)
    assert int(applied) == round(convolution(lead != 0, np.ones_like(kernel), **arguments).sum())


@settings(deadline=None, max_examples=40)
@given(
    sizes, st.integers(1, 40), st.integers(1, 70), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([None, 1.5]),
    st.sampled_from(["float64", "float32"]), st.integers(0, 99),
)  # fmt: skip
def test_dense_equals_numpys(batch, inputs, units, share, window, dtype, seed):
    rng = np.random.default_rng(seed)
    lead = sparse(rng, (batch, inputs), share, dtype)
    kernel, bias = rng.normal(size=(inputs, units)).astype(dtype), rng.normal(size=units).astype(dtype)
    output, applied = ops.dense(lead, ops.pack_dense(kernel), bias, window)
    assert_close(output, fired(lead.astype("float64") @ kernel.astype("float64") + bias, window), dtype)
    assert int(applied) == np.count_nonzero(lead) * units


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("window", [None, 2.0])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_is_not_finite_is_never_silent(bad, window, dtype):
    """The outputs are TensorFlow's, NaN among them, infinity where nothing clips it."""
    rng = np.random.default_rng(0)
    lead = sparse(rng, (1, 5, 5, 20), 0.3, dtype)
    lead[0, 2, 2, 3] = bad
    kernel, bias = rng.normal(size=(3, 3, 20, 24)).astype(dtype), rng.normal(size=24).astype(dtype)
    depthwise = rng.normal(size=(3, 3, 1, 20)).astype(dtype)

    def neurons(potential):
        return potential if window is None else tf.minimum(tf.nn.relu(potential), tf.cast(window, dtype))

    arguments = {"kernel_size": (3, 3), "padding": (1, 1, 1, 1)}
    found = [
        ops.conv2d(lead, ops.pack_conv2d(kernel), bias, window, **arguments)[0],
        ops.conv2d(lead, ops.pack_conv2d(depthwise, 20), bias[:20], window, groups=20, **arguments)[0],
        ops.dense(lead[:, 2, 2], ops.pack_dense(kernel[0, 0]), bias, window)[0],
    ]
    expected = [
        neurons(tf.nn.conv2d(lead, kernel, 1, "SAME") + bias),
        neurons(tf.nn.depthwise_conv2d(lead, depthwise.transpose(0, 1, 3, 2), [1, 1, 1, 1], "SAME") + bias[:20]),
        neurons(tf.matmul(lead[:, 2, 2], kernel[0, 0]) + bias),
    ]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    if np.isnan(bad) or window is None:
        assert all((~np.isfinite(output)).any() for output in found)


def test_applied_weights_are_synaptic_operations():
    snn = keras.Sequential([
        keras.Input((9, 8, 3)), tk.TTFSEncoder(), tk.TTFSConv2D(20, 3, strides=2, padding="same"), tk.TTFSReadout(5)
    ])  # fmt: skip
    x = np.random.default_rng(0).uniform(size=(3, 9, 8, 3)) * (
        np.random.default_rng(1).uniform(size=(3, 9, 8, 3)) < 0.4
    )
    lead = snn.layers[0](x)
    first = ops.conv2d(
        lead, ops.pack_conv2d(np.asarray(snn.layers[1].kernel)), np.zeros(20, "float32"), 1.0, kernel_size=(3, 3),
        strides=(2, 2), padding=(1, 1, 0, 1),
    )  # fmt: skip
    flat = tf.reshape(snn.layers[1](lead), (-1, 20))
    second = ops.dense(flat, ops.pack_dense(np.asarray(snn.layers[2].kernel)), np.zeros(5, "float32"))
    assert int(first[1]) + int(second[1]) == round(3 * tk.synaptic_operations(snn, x))


DIGEST = """
import hashlib, json, sys
import numpy as np, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
from ttfs_keras.ops import event_driven as ops

random, found = np.random.default_rng(0), {}
for dtype in ("float32", "float64"):
    for batch, side, channels, filters in ((1, 33, 70, 65), (3, 8, 200, 40), (1, 2, 300, 300)):
        shape = (batch, side, side, channels)
        lead = (random.normal(size=shape) * (random.random(shape) < 0.4)).astype(dtype)
        kernel = random.normal(size=(3, 3, channels, filters)).astype(dtype)
        outputs = ops.conv2d(lead, ops.pack_conv2d(kernel), np.zeros(filters, dtype), 9.0, kernel_size=(3, 3),
                             padding=(1, 1, 1, 1))
        flat = ops.dense(lead.reshape(batch, -1), ops.pack_dense(random.normal(size=(lead[0].size, 99)).astype(dtype)),
                         np.zeros(99, dtype))
        parts = b"".join(np.asarray(x).tobytes() for x in (*outputs, *flat))
        found[f"{dtype} {shape}"] = hashlib.sha256(parts).hexdigest()
print(json.dumps(found))
"""


def test_one_and_two_threads_give_the_same_bits():
    def digest(threads):
        done = subprocess.run(
            [sys.executable, "-c", DIGEST, str(threads)], capture_output=True, text=True, timeout=300, check=True
        )
        return json.loads(done.stdout.splitlines()[-1])

    one, two = digest(1), digest(2)
    assert len(set(one.values())) == 6 and one == two


def test_layers_work_in_an_empty_batch():
    empty = np.zeros((0, 4, 4, 3), "float32")
    packed = ops.pack_conv2d(np.ones((3, 3, 3, 5), "float32"))
    output, applied = ops.conv2d(empty, packed, np.zeros(5, "float32"), 1.0, kernel_size=(3, 3))
    assert output.shape == (0, 2, 2, 5) and int(applied) == 0
    output, applied = ops.dense(empty[:, 0, 0], ops.pack_dense(np.ones((3, 5), "float32")), np.zeros(5, "float32"))
    assert output.shape == (0, 5) and int(applied) == 0


def test_refusals_name_everything():
    lead, packed = np.zeros((1, 4, 4, 3), "float32"), ops.pack_conv2d(np.ones((3, 3, 3, 5), "float32"))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"(?s)packed weights.*bias.*window above 0"):
        ops.conv2d(lead, packed[:, :2], np.zeros((1, 5), "float32"), 0.0, kernel_size=(3, 3))
    with pytest.raises(tf.errors.InvalidArgumentError, match="multiples of groups=2"):
        ops.conv2d(lead, packed, np.zeros(5, "float32"), kernel_size=(3, 3), groups=2)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"strides.*at least 1"):
        ops.conv2d(lead, packed, np.zeros(5, "float32"), kernel_size=(3, 3), strides=(0, 1))
    with pytest.raises(tf.errors.InvalidArgumentError, match="packed weights"):
        ops.dense(lead[:, 0, 0], np.zeros((3, 5), "float32"), np.zeros(5, "float32"))


def test_without_the_library_the_error_says_so(monkeypatch):
    monkeypatch.setattr(ops, "library", lambda: None)
    with pytest.raises(tk.OpLibraryError, match=r"compiled op library.*Install a C\+\+ compiler"):
        ops.dense(np.zeros((1, 3), "float32"), np.zeros((3, 16), "float32"), np.zeros(5, "float32"))
