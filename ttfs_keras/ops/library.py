"""Find and load the op library, or say why not and what to do."""

import functools
import importlib.metadata
import importlib.util
import json
import logging
import os
import threading
from pathlib import Path

import tensorflow as tf

from ttfs_keras.errors import OpLibraryError

logger = logging.getLogger("ttfs_keras")

REFERENCE = "TTFS_KERAS_REFERENCE"  # environment variable that asks for the plain-TensorFlow reference
LIBRARIES = ("bats_ops_v4", "bats_ops_v3", "bats_ops")  # the best first: for AVX-512, for AVX2, for every CPU
FIRST = threading.Lock()  # a second thread that came to load the library, too, would find its ops registered already
REBUILD = "Rebuild it: pip install --no-build-isolation --force-reinstall --no-deps <the folder of ttfs_keras>"


def library():
    """Return the module of raw ops, or None to use the plain-TensorFlow reference.

    The reference is used where the environment variable TTFS_KERAS_REFERENCE is 1, and, with a warning, where the
    library was never built because there was no C++ compiler.

    Raises:
        OpLibraryError: a library is there and cannot be used.
    """
    with FIRST:
        return _library()


@functools.cache
def _library():
    if os.environ.get(REFERENCE, "0") not in ("", "0"):
        logger.warning("BATS layers use the plain-TensorFlow reference, as %s asks for.", REFERENCE)
        return None
    path = find()
    if path is None:
        logger.warning(
            "BATS layers use the slow plain-TensorFlow reference: bats_ops.so was not built. "
            "Install a C++ compiler (g++) and reinstall ttfs_keras."
        )
        return None
    return load(path)


def find():
    """Return the path of the best library for this CPU that this package was installed with, or None.

    An editable install keeps it apart from the sources; as a file with an extension module's suffix it is found all
    the same.
    """
    specs = [importlib.util.find_spec(f"ttfs_keras.ops.{name}") for name in LIBRARIES]
    paths = [Path(spec.origin) for spec in specs if spec and spec.origin]
    return next((path for path in paths if not _mismatches(path)), paths[-1] if paths else None)


def load(path):
    """Return the module of raw ops of a library.

    Args:
        path: of `bats_ops.so`; `bats_ops.json` beside it says what it was built for.

    Raises:
        OpLibraryError: it was built for another TensorFlow or CPU, is not readable, or another copy is loaded already.
    """
    problems = _mismatches(path) or _truncation(path)
    if not problems and _registered():
        problems.append("expected to load it first. Received: its ops are registered already by another copy of it")
    if problems:
        raise OpLibraryError(f"{path} cannot be used:\n  " + "\n  ".join(problems) + f"\n{REBUILD}")
    try:
        return tf.load_op_library(str(path))
    except tf.errors.NotFoundError as error:
        raise OpLibraryError(f"{path} cannot be loaded: {error.message}\n{REBUILD}") from error


def _mismatches(path):
    note = path.with_suffix(".json")
    try:
        built = json.loads(note.read_text(encoding="utf-8"))
        version, instructions, _ = built["tensorflow"].split("."), set(built["instructions"]), int(built["bytes"])
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        return [f"expected a readable {note.name} beside it. Received: {error!r}"]
    problems = []
    # The library holds symbols of TensorFlow's own that change their names with each minor version.
    running = importlib.metadata.version("tensorflow")
    if running.split(".")[:2] != version[:2]:
        problems.append(f"expected TensorFlow {built['tensorflow']}, which it was built for. Received: {running}")
    missing = sorted(instructions - _instructions())
    if missing:
        problems.append(f"expected a CPU with {', '.join(missing)}. Received: one without")
    return problems


def _truncation(path):
    """Return the problem that a file ends early, in a list; to load such a file would end the process."""
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["bytes"]
    try:
        size = path.stat().st_size
    except OSError as error:
        return [f"expected to read it. Received: {error}"]
    return [f"expected {expected} bytes. Received: {size}; it was cut off"] if size < expected else []


def _instructions(cpuinfo=Path("/proc/cpuinfo")):
    """Return the instruction sets of this CPU; none where the system does not tell."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return next((set(line.split(":")[1].split()) for line in lines if line.startswith("flags")), set())


def _registered():
    """Whether TensorFlow knows the ops already; a second copy would load, and fail at the first call."""
    graph = tf.compat.v1.GraphDef(node=[{"name": "spikes", "op": "TtfsKeras>BatsPeaks"}])
    try:
        with tf.Graph().as_default():
            tf.graph_util.import_graph_def(graph)
    except tf.errors.NotFoundError:
        return False
    except ValueError:  # the op is known: it misses its inputs
        pass
    return True
