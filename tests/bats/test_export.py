"""A SavedModel of a BATS model in a process that knows neither the model nor, at first, its ops."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from ttfs_keras import bats
from ttfs_keras.ops import bats as ops

LOAD = """
import sys
import numpy as np, tensorflow as tf
if sys.argv[1] == "ops":
    from ttfs_keras.ops.library import library
    library()
model = tf.saved_model.load(sys.argv[2])
np.save(sys.argv[4], model.serve(tf.constant(np.load(sys.argv[3]))))
"""


@pytest.mark.skipif(ops.library() is None, reason="the op library was not built")
def test_exported_model_runs_where_the_library_is_loaded(tmp_path):
    keras.utils.set_random_seed(0)
    layers = [bats.LatencyEncoder(), bats.BATSDense(12, threshold=0.05, max_spikes=3), bats.FlattenSpikes()]
    model = keras.Sequential([keras.Input((6,)), *layers, bats.BATSDense(4, threshold=0.05, max_spikes=3)])
    x = np.random.default_rng(0).uniform(size=(5, 6)).astype("float32")
    model.export(tmp_path / "exported", verbose=False)
    np.save(tmp_path / "x.npy", x)

    def load(known):
        files = (tmp_path / name for name in ("exported", "x.npy", "served.npy"))
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-c", LOAD, known, *map(str, files)]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    without = load("nothing")
    assert without.returncode == 1 and "TtfsKeras>BatsSpikes" in without.stderr
    loaded = load("ops")
    assert loaded.returncode == 0, loaded.stderr
    served = np.load(tmp_path / "served.npy")
    assert np.isfinite(served).any()
    np.testing.assert_array_equal(served, model(x))
