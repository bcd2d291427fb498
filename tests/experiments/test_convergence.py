import csv
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from experiments import convergence
from ttfs_keras import bats

REPOSITORY = Path(convergence.__file__).parents[1]


def alone(loss, kernel, steps):
    """Return the best accuracy of one run: a layer of its own and Keras's gradient descent."""
    loss_class, max_spikes = {
        "count": (bats.losses.SpikeCount(10, 0, dtype="float64"), 10),
        "ttfs": (bats.losses.TTFSSoftmaxCrossEntropy(0.1, dtype="float64"), 1),
    }[loss]
    kernel, optimizer = keras.Variable(kernel, dtype="float64"), keras.optimizers.SGD(0.1)
    times = tf.constant([[[0.0], [0], [1], [2]], [[0], [0], [2], [1]]], "float64")
    labels, best = np.array([0, 1]), 0.0
    for _ in range(steps):
        with tf.GradientTape() as tape:
            trains, _ = bats.dense(times, kernel.value, 1.0, 1.0, 1.0, max_spikes, 10.0)
            value = loss_class(labels, trains)
        optimizer.apply([tape.gradient(value, kernel.value)], [kernel])
        first, counts = trains.numpy()[..., 0], np.isfinite(trains).sum(-1)
        answers = counts.argmax(-1) if loss == "count" else first.argmin(-1)
        best = max(best, np.mean(answers == labels))
    return best


@pytest.mark.parametrize("loss", ["count", "ttfs"])
def test_each_run_is_what_it_is_alone(loss):
    means, deviations, repeats, steps = np.array([0.6, 1.2]), np.array([0.2, 1.0, 2.0]), 3, 12
    scores = convergence.study(loss, means, deviations, repeats, steps, seed=5)
    normal = np.random.default_rng(5).normal(size=(4, 2, 3, repeats, 2))
    expected = [
        [
            np.mean([alone(loss, m + d * normal[:, i, j, run], steps) for run in range(repeats)])
            for j, d in enumerate(deviations)
        ]
        for i, m in enumerate(means)
    ]
    assert 0.5 < np.mean(expected) < 1
    np.testing.assert_allclose(scores, expected)


@pytest.mark.parametrize("loss", ["count", "ttfs"])
def test_silent_networks_answer_0(loss):
    np.testing.assert_array_equal(convergence.study(loss, [0.0, 0.1], [0.05], 20, 3, seed=0), [[0.5], [0.5]])


def run(folder, *arguments):
    command = [sys.executable, "-m", "experiments.convergence", f"--logging_dir={folder}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=REPOSITORY)


def test_command_writes_table_and_map(tmp_path):
    done = run(tmp_path / "logs", "--loss=ttfs", "--repeats=1", "--steps=1")
    assert done.returncode == 0, done.stderr
    assert {file.name for file in (tmp_path / "logs").iterdir()} == {"convergence_ttfs.csv", "convergence_ttfs.pdf"}
    assert (tmp_path / "logs" / "convergence_ttfs.pdf").read_bytes().startswith(b"%PDF")
    with (tmp_path / "logs" / "convergence_ttfs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    grid = [round(0.2 * step, 1) for step in range(13)]
    assert list(rows[0]) == ["Mean", "Std", "Accuracy"]
    assert [(float(row["Mean"]), float(row["Std"])) for row in rows] == [(m, d) for m in grid for d in grid]
    assert {float(row["Accuracy"]) for row in rows} <= {0, 50, 100}
    assert "convergence_ttfs.csv" in done.stdout


def test_wrong_flags_are_refused_before_any_work(tmp_path):
    done = run(tmp_path, "--loss=other")
    assert done.returncode != 0 and "count" in done.stderr and "ttfs" in done.stderr
    assert not list(tmp_path.iterdir())
