import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import ttfs_keras.ops.bats
from tests.bats import problems
from tests.tolerances import FLOAT64
from ttfs_keras import bats
from ttfs_keras.errors import OpLibraryError
from ttfs_keras.ops import library as loader

BUILT = loader.find()
needs_library = pytest.mark.skipif(BUILT is None, reason="the op library was not built")


def python(code, *arguments, **environment):
    """Run code in a process of its own and return the last line that it prints, as JSON, and what it logged."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.fixture
def copy(tmp_path):
    """A copy of the library and its note, which no test may load."""
    shutil.copy(BUILT, tmp_path / "bats_ops.so")
    shutil.copy(BUILT.with_suffix(".json"), tmp_path / "bats_ops.json")
    return tmp_path / "bats_ops.so"


@needs_library
def test_the_library_is_what_the_layers_use():
    raw = loader.library()
    assert raw is loader.library() and hasattr(raw, "ttfs_keras_bats_spikes")
    note = json.loads(BUILT.with_suffix(".json").read_text(encoding="utf-8"))
    assert set(note) == {"tensorflow", "instructions", "cuda", "bytes"} and note["bytes"] == BUILT.stat().st_size


FIRST_USE = """
import json, threading
from ttfs_keras.ops.library import library

start, found = threading.Barrier(4), []

def load():
    start.wait()
    found.append(library())

threads = [threading.Thread(target=load) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps([raw is library() for raw in found]))
"""


@needs_library
def test_several_threads_may_come_first():
    assert python(FIRST_USE)[0] == [True] * 4


def test_without_a_library_the_reference_is_used_and_said_once(monkeypatch, caplog):
    monkeypatch.setattr(loader, "find", lambda: None)
    monkeypatch.setattr(ttfs_keras.ops.bats, "library", functools.cache(loader._library.__wrapped__))
    problem = problems.CASES["dense"]
    constants = (problem.tau_s, problem.threshold, problem.delta_threshold, problem.max_spikes)
    for _ in range(3):
        times, _ = bats.dense(problem.times[:, 0, 0], problem.kernel[0, 0], *constants, problem.simulation_time)
    assert np.isfinite(times).any()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "bats_ops.so was not built. Install a C++ compiler (g++) and reinstall ttfs_keras" in record.message


@needs_library
@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"tensorflow": "2.20.1"}, [f"expected TensorFlow 2.20.1, which it was built for. Received: {tf.__version__}"]),
        ({"instructions": ["avx2", "sse99"]}, ["expected a CPU with sse99. Received: one without"]),
        ({"tensorflow": "3.0.0", "instructions": ["x"]}, ["expected TensorFlow 3.0.0", "expected a CPU with x"]),
        ({"tensorflow": None}, ["expected a readable bats_ops.json beside it"]),
        ({"instructions": None}, ["expected a readable bats_ops.json beside it"]),
        ({"bytes": None}, ["expected a readable bats_ops.json beside it"]),
    ],
)
def test_a_library_for_another_machine_is_refused(copy, change, messages):
    note = copy.with_suffix(".json")
    note.write_text(json.dumps(json.loads(note.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(OpLibraryError) as error:
        loader.load(copy)
    text = str(error.value)
    assert text.startswith(f"{copy} cannot be used") and "Rebuild it: pip install" in text
    assert all(message in text for message in messages)


@needs_library
@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '"text"'])
def test_a_library_without_a_readable_note_is_refused(copy, content):
    note = copy.with_suffix(".json")
    note.unlink()
    if content is not None:
        note.write_text(content, encoding="utf-8")
    with pytest.raises(OpLibraryError, match=r"expected a readable bats_ops\.json beside it\. Received: "):
        loader.load(copy)


def built(name):
    """Return the path of a library and the instructions that it needs; None and no instructions if it was not built."""
    spec = importlib.util.find_spec(f"ttfs_keras.ops.{name}")
    if spec is None:
        return None, set()
    path = Path(spec.origin)
    return path, set(json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["instructions"])


@pytest.mark.skipif(built("bats_ops_v4")[0] is None, reason="only one library was built")
def test_the_best_library_for_the_cpu_is_found(monkeypatch):
    (portable, none), (avx2, some), (avx512, many) = map(built, reversed(loader.LIBRARIES))
    assert none == set() and {"avx2", "fma"} <= some and {"avx512f", "avx512vl"} <= many and some < many
    for instructions, path in ((none, portable), (some - {"movbe"}, portable), (some, avx2), (many | {"x"}, avx512)):
        monkeypatch.setattr(loader, "_instructions", lambda instructions=instructions: instructions)
        assert loader.find() == path
    monkeypatch.setattr(loader, "_instructions", set)
    with pytest.raises(OpLibraryError, match="expected a CPU with abm, "):
        loader.load(avx512)


EACH = """
import json, sys
from pathlib import Path
import numpy as np, tensorflow as tf
from ttfs_keras.ops import library as loader
loader.find = lambda: Path(sys.argv[1])
from ttfs_keras import bats

random = np.random.default_rng(0)
times, kernel = tf.constant(random.uniform(0, 0.1, (5, 40, 2))), tf.constant(random.normal(0.3, 1.0, (40, 70)))
with tf.GradientTape() as tape:
    tape.watch([times, kernel])
    trains, counts = bats.dense(times, kernel, 0.13, 0.2, None, 8, 0.2)
gradients = tape.gradient(trains, [times, kernel], tf.constant(random.normal(size=trains.shape)))
assert loader.load.__module__ in sys.modules and int(tf.reduce_sum(counts)) > 500
print(json.dumps([np.where(np.isfinite(x), x, -1).ravel().tolist() for x in (trains, *gradients)]))
"""


@needs_library
def test_the_libraries_for_all_kinds_of_cpu_agree():
    found = []
    for path, instructions in map(built, loader.LIBRARIES):
        if path is not None and instructions <= loader._instructions():
            found.append(python(EACH, path)[0])
    for arrays in found[1:]:
        for array, expected in zip(arrays, found[0], strict=True):
            np.testing.assert_allclose(array, expected, rtol=FLOAT64, atol=FLOAT64 * np.abs(expected).max())


def test_where_the_system_does_not_tell_the_instructions_none_is_assumed(tmp_path):
    assert loader._instructions(tmp_path / "missing") == set()
    (tmp_path / "cpuinfo").write_text("processor : 0\nflags\t\t: fpu avx2\n", encoding="utf-8")
    assert loader._instructions(tmp_path / "cpuinfo") == {"fpu", "avx2"}


def test_a_later_patch_of_tensorflow_is_the_same(tmp_path):
    version = ".".join([*tf.__version__.split(".")[:2], "99"])
    note = {"tensorflow": version, "instructions": [], "bytes": 9}
    (tmp_path / "bats_ops.json").write_text(json.dumps(note), encoding="utf-8")
    with pytest.raises(OpLibraryError) as error:
        loader.load(tmp_path / "bats_ops.so")
    assert "TensorFlow" not in str(error.value) and "No such file" in str(error.value)


BROKEN_THEN_TWO_COPIES = """
import json, shutil, sys
from pathlib import Path
import numpy as np
from ttfs_keras import bats
from ttfs_keras.errors import OpLibraryError
from ttfs_keras.ops import library as loader

built, folder = loader.find(), Path(sys.argv[1])
whole, other = built.read_bytes(), folder / "bats_ops.so"
shutil.copy(built.with_suffix(".json"), other.with_suffix(".json"))

def message():
    try:
        loader.load(other)
    except OpLibraryError as error:
        return str(error)
    return "loaded"

messages = {}
for name, content in {
    "empty": b"",
    "header": whole[:100],
    "half": whole[: len(whole) // 2],
    "almost": whole[:-1],
    "text": b"x" * len(whole),
}.items():
    other.write_bytes(content)
    messages[name] = message()
loader.library()
other.write_bytes(whole)
messages["copy"] = message()
times, _ = bats.dense(np.zeros((1, 1, 1)), np.array([[4.0]]), 1.0, 1.0, 1.0, 4, 10.0)
messages["count"] = int(np.isfinite(times).sum())
print(json.dumps(messages))
"""


@needs_library
def test_broken_files_and_a_second_copy_are_refused(tmp_path):
    """What TensorFlow would do with them is to end the process, or to fail at the first call."""
    found, _ = python(BROKEN_THEN_TWO_COPIES, tmp_path)
    assert found.pop("count") == 2
    for name, text in found.items():
        assert str(tmp_path / "bats_ops.so") in text and "Rebuild it" in text, name
    for name in ("empty", "header", "half", "almost"):
        assert f"expected {BUILT.stat().st_size} bytes. Received: " in found[name] and "it was cut off" in found[name]
    assert "invalid ELF header" in found["text"]
    assert "its ops are registered already by another copy of it" in found["copy"]


TRAINING = """
import json
import keras, numpy as np
from ttfs_keras import bats
from ttfs_keras.ops.library import library

keras.utils.set_random_seed(0)
inputs = keras.Input((8, 8, 1))
x = bats.SpikePooling2D(2)(bats.BATSConv2D(2, 3, threshold=0.05, max_spikes=2)(bats.LatencyEncoder()(inputs)))
x = bats.BATSDense(3, threshold=0.1, recovery=bats.PeakPotential(1.0))(bats.FlattenSpikes()(x))
model = keras.Model(inputs, x)
model.compile(keras.optimizers.Adam(0.02), bats.losses.SpikeCount(5, 1), metrics=[bats.metrics.CountAccuracy()])
labels = np.arange(30) % 3
images = np.eye(3)[labels].repeat(3, axis=1)[:, :8, None, None] * np.random.default_rng(0).uniform(size=(30, 8, 8, 1))
history = model.fit(images, labels, epochs=12, batch_size=10, verbose=0).history
print(json.dumps({"none": library() is None, "loss": history["loss"], "accuracy": history["count_accuracy"][-1]}))
"""


def test_a_model_trains_on_the_reference_where_the_environment_asks_for_it():
    found, log = python(TRAINING, TTFS_KERAS_REFERENCE="1")
    assert found["none"] and found["accuracy"] > 0.9 and found["loss"][-1] < 0.5 * found["loss"][0]
    assert log.count("BATS layers use the plain-TensorFlow reference, as TTFS_KERAS_REFERENCE asks for.") == 1


@pytest.mark.parametrize(("value", "none"), [("1", True), ("0", False), ("", False)])
def test_the_environment_variable(monkeypatch, value, none):
    monkeypatch.setenv("TTFS_KERAS_REFERENCE", value)
    monkeypatch.setattr(loader, "find", lambda: "a path")
    monkeypatch.setattr(loader, "load", lambda path: f"loaded from {path}")
    assert loader._library.__wrapped__() == (None if none else "loaded from a path")


DIGEST = """
import hashlib, json, sys
import numpy as np, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
from ttfs_keras import ops
from ttfs_keras.ops.library import library

assert library() is not None
random, digests = np.random.default_rng(0), {}
for name, times, kernel in (
    ("dense", (70, 1, 1, 150, 2), (1, 1, 150, 333)), ("convolution", (9, 12, 11, 3, 2), (3, 4, 3, 37))
):
    for dtype in ("float32", "float64"):
        spikes = tf.constant(np.where(random.random(times) < 0.3, np.inf, random.uniform(0, 0.1, times)), dtype)
        weights = tf.constant(random.normal(0.3, 1.0, kernel), dtype)
        inputs = [spikes, weights, *(tf.constant(x, dtype) for x in (0.2, 0.17, 0.13, 0.2))]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(inputs)
            trains, counts, overflow = ops.spikes(*inputs, 12)
            peaks, at = ops.peaks(inputs[0], inputs[1], *inputs[4:])
        upstream = [tf.constant(random.normal(size=x.shape), dtype) for x in (trains, peaks)]
        arrays = [trains, counts, overflow, peaks, at, *tape.gradient(trains, inputs[:5], upstream[0])]
        arrays += tape.gradient(peaks, inputs[:2], upstream[1])
        assert np.isfinite(trains).sum() > 10000 and overflow > 0
        digests[name + dtype] = hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in arrays)).hexdigest()
print(json.dumps(digests))
"""


@needs_library
def test_one_and_two_threads_give_the_same_bits():
    one, two = (python(DIGEST, threads)[0] for threads in (1, 2))
    assert len(set(one.values())) == 4 and one == two


SHORT_OF_MEMORY = """
import json, resource
from pathlib import Path
import tensorflow as tf
from ttfs_keras import bats

def spikes(batch, max_spikes):
    # One input that fills every train.
    times, kernel = tf.zeros((batch, 1, 1)), 1e6 * tf.ones((1, 256))
    return int(tf.reduce_sum(bats.dense(times, kernel, 0.13, 1e-3, None, max_spikes, 0.2)[1]))

found = {"before": spikes(2, 4)}
now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, 2 * (now + (400 << 20),))
try:
    spikes(200, 1000)  # 200 MB of trains and six times that of crossings
except tf.errors.ResourceExhaustedError as error:
    found["error"] = error.message
found["after"] = spikes(2, 4)
print(json.dumps(found))
"""


@needs_library
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell how much memory is used")
def test_a_layer_without_enough_memory_is_an_error():
    found, _ = python(SHORT_OF_MEMORY)
    assert found["before"] == found["after"] == 2 * 256 * 4
    assert "expected memory for all input and output spikes of this layer. Received: too little" in found["error"]


def busy_layer(samples, inputs, units, seed=0):
    """Return trains (samples, inputs) and a kernel whose neurons fire about 28 times."""
    random = np.random.default_rng(seed)
    return random.uniform(0, 0.2, (samples, inputs)), random.normal(0.75, 2.0, (inputs, units))


def highest_at_ends(times, kernel, trains, tau_s, theta):
    """Return the largest u at the ends of the intervals between inputs, just before them, of trains that are not full.

    Straight from the sum over all inputs and own spikes; (units,).
    """
    tau, ends = 2 * tau_s, np.append(np.sort(times), 0.2)
    since = ends[:, None] - times
    slow = np.where(since > 0, np.exp(-np.maximum(since, 0) / tau), 0)
    u = tau * (slow - slow**2) @ kernel
    resets = np.zeros_like(u)
    for own in trains.T:  # slot by slot
        after = ends[:, None] - own
        resets += np.where(after >= 0, np.exp(-np.maximum(after, 0) / tau), 0)
    u -= theta * resets
    full = np.isfinite(trains[:, -1])
    return np.where(full & (ends[:, None] > trains[:, -1]), -np.inf, u).max(0)


@needs_library
def test_no_crossing_is_missed_in_a_million_spikes():
    """Where one is, u stays above the threshold from there on, and shows it at the end of the next interval."""
    tau_s, theta, slots = 0.13, 0.2, 60
    times, kernel = busy_layer(40, 120, 1000)
    found = {}
    for dtype in ("float32", "float64"):
        trains, counts = bats.dense(
            times[..., None].astype(dtype), kernel.astype(dtype), tau_s, theta, None, slots, 0.2
        )
        found[dtype] = trains.numpy().astype("float64"), counts.numpy()
        assert found[dtype][1].sum() > 1_000_000
    for sample in range(len(times)):
        exact = highest_at_ends(times[sample], kernel, found["float64"][0][sample], tau_s, theta)
        rounded = times[sample].astype("float32").astype("float64"), kernel.astype("float32").astype("float64")
        single = highest_at_ends(*rounded, found["float32"][0][sample], tau_s, theta)
        assert exact.max() <= theta * (1 + 1e-9)
        assert single.max() <= theta * (1 + 1e-3)
    # Two correct roundings may differ where u nearly touches the threshold, and nowhere else.
    same = found["float32"][1] == found["float64"][1]
    assert same.mean() > 0.999
    single, exact = (found[dtype][0][same] for dtype in ("float32", "float64"))
    fired = np.isfinite(exact)
    np.testing.assert_array_equal(np.isfinite(single), fired)
    apart = np.abs(single[fired] - exact[fired])
    assert np.median(apart) < 1e-7 and np.quantile(apart, 0.999) < 1e-5
