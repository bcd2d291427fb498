"""From which initial weights does a multi-spike network learn two samples? A map over their mean and deviation.

python -m experiments.convergence --loss=count
python -m experiments.convergence --loss=ttfs

Four inputs that spike once each, two output neurons, gradient descent on both samples. Each cell of the map has so many
runs; a run's score is its best accuracy over all steps. The runs share their inputs, so that all runs of all cells are
one dense layer. Source: the convergence study of Bacho & Chu, arXiv 2212.09500.
"""

import csv
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import app, flags

from ttfs_keras import bats
from ttfs_keras.bats.readout import count, first_spike
from ttfs_keras.files.atomic import replacing
from ttfs_keras.plots.heat_map import heat_map

GRID = np.linspace(0, 2.4, 13)  # of the means and of the deviations
TIMES = np.array([[0.0, 0, 1, 2], [0, 0, 2, 1]])  # seconds, of sample A and sample B
LABELS = (0, 1)
CLASSES = 2
NEURON = {"tau_s": 1.0, "threshold": 1.0, "delta_threshold": 1.0, "simulation_time": 10.0}
RATE = 0.1

# (loss, spikes per neuron, score of a neuron: the highest one is the answer). Summed over runs that share nothing.
LOSSES = {
    "count": (bats.losses.SpikeCount(10.0, 0.0, reduction="sum", dtype="float64"), 10, count),
    "ttfs": (bats.losses.TTFSSoftmaxCrossEntropy(0.1, reduction="sum", dtype="float64"), 1, lambda t: -first_spike(t)),
}


def study(loss, means, deviations, repeats, steps, seed):
    """Return the mean score of each cell, `(means, deviations)`, 0 to 1.

    A run whose neurons are all silent answers 0, as the reference's does, and is right about sample A.

    Args:
        loss: "count" or "ttfs".
        means, deviations: of the normal distributions from which the initial weights are drawn.
        repeats: runs a cell.
        steps: of gradient descent, >= 1; the accuracy is measured before each.
        seed: of the weights.
    """
    loss, max_spikes, score = LOSSES[loss]
    normal = np.random.default_rng(seed).normal(size=(TIMES.shape[1], len(means), len(deviations), repeats, CLASSES))
    kernel = np.reshape(means, (-1, 1, 1, 1)) + np.reshape(deviations, (-1, 1, 1)) * normal
    runs = kernel[0, ..., 0].size
    kernel = tf.Variable(kernel.reshape(TIMES.shape[1], runs * CLASSES))
    times = tf.constant(TIMES[..., None])
    labels = tf.repeat(LABELS, runs)

    @tf.function
    def step():
        """Return the accuracy of each run, and take a step."""
        with tf.GradientTape() as tape:
            trains, _ = bats.dense(times, kernel, max_spikes=max_spikes, **NEURON)
            trains = tf.reshape(trains, (len(LABELS) * runs, CLASSES, max_spikes))
            total = loss(labels, trains) / len(LABELS)
        kernel.assign_sub(RATE * tape.gradient(total, kernel))
        right = tf.argmax(score(trains), axis=-1, output_type=labels.dtype) == labels
        return tf.reduce_mean(tf.reshape(tf.cast(right, tf.float64), (len(LABELS), runs)), axis=0)

    best = np.max([step().numpy() for _ in range(steps)], axis=0)
    return best.reshape(len(means), len(deviations), repeats).mean(axis=-1)


def write(scores, means, deviations, loss, folder):
    """Write `convergence_<loss>.csv` (columns Mean, Std, Accuracy in percent) and `.pdf`, and return their paths."""
    table, figure = (Path(folder) / f"convergence_{loss}.{suffix}" for suffix in ("csv", "pdf"))
    with replacing(table) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["Mean", "Std", "Accuracy"])
        for (i, j), score in np.ndenumerate(scores):
            rows.writerow([f"{means[i]:.6g}", f"{deviations[j]:.6g}", f"{100 * score:.6g}"])
    labels = "standard deviation of the initial weights", "mean of the initial weights", "accuracy (%)"
    heat_map(100 * scores.T, deviations, means, figure, *labels, limits=(50, 100))
    return table, figure


def define_flags():
    """Define the flags."""
    flags.DEFINE_enum("loss", "count", list(LOSSES), "spike counts with targets 10 and 0, or softmax of first spikes")
    flags.DEFINE_string("logging_dir", "logs", "folder for the table and the figure")
    flags.DEFINE_integer("seed", 0, "of the initial weights")
    flags.DEFINE_integer("repeats", 100, "runs for each cell of the map", lower_bound=1)
    flags.DEFINE_integer("steps", 50, "of gradient descent for each run", lower_bound=1)


def main(arguments):
    """Run the study that the flags ask for."""
    if arguments[1:]:
        sys.exit(f"Expected flags only. Received: {' '.join(arguments[1:])}")
    values = flags.FLAGS
    start = time.perf_counter()
    scores = study(values.loss, GRID, GRID, values.repeats, values.steps, values.seed)
    table, figure = write(scores, GRID, GRID, values.loss, values.logging_dir)
    print(
        f"{values.loss}: {100 * scores.mean():.1f} % accuracy over all {scores.size} cells of {values.repeats} runs, "
        f"{time.perf_counter() - start:.0f} s\n{table}\n{figure}"
    )


if __name__ == "__main__":
    define_flags()
    app.run(main)
