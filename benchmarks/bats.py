"""Multi-spike networks: training steps beside a ReLU network's, scaling, memory, events a second; `make bench`.

Threads and peak memory belong to a process, so each measurement runs in one of its own.
"""

import functools
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from benchmarks.pairs import compare, machine, measure
from ttfs_keras import bats
from ttfs_keras.ops.library import library
from ttfs_keras.training.experiments import BATS

ROUNDS = 300
LIT = 0.19  # share of MNIST's pixels that are not black


def images(batch, seed=0):
    """Return random images (batch, 28, 28, 1) with as many lit pixels as MNIST, 40 % of them white, and labels."""
    rng = np.random.default_rng(seed)
    lit = rng.uniform(size=(batch, 28, 28, 1)) < LIT
    grey = np.where(rng.uniform(size=lit.shape) < 0.4, 1.0, rng.integers(1, 255, lit.shape) / 255)
    return tf.constant((lit * grey).astype("float32")), tf.constant(rng.integers(0, 10, batch))


def network(name, hidden=None, recovery=0.0):
    """Return the compiled network of an experiment, its hidden layer of another size if asked for."""
    keras.utils.set_random_seed(0)
    model = BATS[name].network((28, 28, 1), 10, recovery=recovery)
    if hidden is not None:
        inputs = keras.Input((28, 28, 1))
        x = bats.FlattenSpikes()(bats.LatencyEncoder()(inputs))
        x = bats.BATSDense(hidden, threshold=0.2, name="hidden")(x)
        model = keras.Model(inputs, bats.BATSDense(10, threshold=1.3, name="output")(x))
    # A rate this small keeps the random task from changing the firing rates that are measured.
    model.compile(keras.optimizers.Adam(1e-9), BATS[name].loss("float32"))
    return model


def relu_network():
    """Return a compiled 784-800-10 ReLU network."""
    layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(800, "relu")]
    model = keras.Sequential([*layers, keras.layers.Dense(10)])
    model.compile(keras.optimizers.Adam(1e-9), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def beside_relu(threads, recovery, epoch):
    """Return milliseconds of a training step of both networks at batch 50 and the ratio.

    The networks take turns: every step, which both then start with the other's data in the caches, or every epoch of so
    many steps.
    """
    x, y = images(50)
    networks = network("spike_count", recovery=recovery), relu_network()
    if epoch == 1:
        runs = [functools.partial(model.train_on_batch, x, y) for model in networks]
    else:
        batches = tf.data.Dataset.from_tensors((x, y)).repeat(epoch)
        runs = [functools.partial(model.fit, batches, verbose=0) for model in networks]
    a, b, ratio = compare(*runs, max(ROUNDS // epoch, 5))
    return [1000 * a / epoch, 1000 * b / epoch, ratio]


def step(threads, batch, hidden):
    """Return milliseconds of a training step and the peak memory of the process in MB."""
    x, y = images(batch)
    model = network("spike_count", hidden)
    seconds = measure(lambda: model.train_on_batch(x, y), 20)
    return [1000 * seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]


def events(threads, name):
    """Return, by layer, milliseconds of its forward pass and its neuron events, input spike x unit, a second."""
    x, _ = images(50 if name == "spike_count" else 20)
    model, rows = network(name), []
    for layer in model.layers:
        if isinstance(layer, bats.BATSDense | bats.BATSConv2D):
            trains = keras.Model(model.input, layer.input)(x)
            seconds = measure(lambda layer=layer, trains=trains: layer(trains), 20)
            spikes = tf.cast(tf.math.is_finite(trains), tf.float32)
            spikes = tf.reduce_sum(spikes, axis=-1)
            if isinstance(layer, bats.BATSConv2D):  # every position that sees a spike integrates it
                ones = tf.ones((*layer.kernel_size, spikes.shape[-1], 1))
                spikes = tf.nn.conv2d(spikes, ones, 1, "VALID")
            rows.append([layer.name, 1000 * seconds, float(tf.reduce_sum(spikes)) * layer.kernel.shape[-1] / seconds])
    return rows


def sorting():
    """Return rows of: spikes of a list, nanoseconds a spike to sort it as the op does and by std::stable_sort, ratio."""
    source = Path(__file__).parents[1] / "custom_ops" / "testing" / "sorting.cc"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "sorting"
        subprocess.run(["g++", "-std=c++17", "-O3", "-march=native", source, "-o", program], check=True)
        done = subprocess.run([program], check=True, capture_output=True, text=True)
    return [line.split() for line in done.stdout.splitlines()]


CASES = {"beside_relu": beside_relu, "step": step, "events": events}


def run(case, threads, *arguments):
    """Run a case in a process with so many threads and return its result."""
    command = [sys.executable, "-m", "benchmarks.bats", case, json.dumps([threads, *arguments])]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    """Print the tables."""
    print(f"{machine()}, TensorFlow {tf.__version__}, Keras {keras.__version__}, float32\n")
    print("| 784-800-10, K = 30, batch 50 | BATS ms | ReLU ms | ratio (median of pairs) |\n|---|---|---|---|")
    for threads, recovery, epoch in ((1, 0.0, 1), (2, 0.0, 1), (1, 1.0, 1), (1, 0.0, 200), (2, 0.0, 200)):
        a, b, ratio = run("beside_relu", threads, recovery, epoch)
        name = f"training step, {threads} thread(s)" + ", with recovery of silent outputs" * bool(recovery)
        name += f", of an epoch of {epoch} by fit" * (epoch > 1)
        print(f"| {name} | {a:.1f} | {b:.1f} | {ratio:.2f} |", flush=True)
    print("\n| threads | batch | hidden neurons | training step ms | peak memory MB |\n|---|---|---|---|---|")
    cases = [(1, 50, 800), (2, 50, 800), (2, 5, 800), (2, 512, 800), (2, 50, 200), (2, 50, 3200)]
    for threads, batch, hidden in cases:
        milliseconds, memory = run("step", threads, batch, hidden)
        print(f"| {threads} | {batch} | {hidden} | {milliseconds:.1f} | {memory:.0f} |", flush=True)
    print("\n| network | layer | forward ms | neuron events a second, 1 thread |\n|---|---|---|---|")
    for name in ("spike_count", "conv"):
        for layer, milliseconds, rate in run("events", 1, name):
            print(f"| {name} | {layer} | {milliseconds:.2f} | {rate:.2e} |", flush=True)
    if shutil.which("g++"):
        print("\n| spikes of a list | ns a spike, radix sort | std::stable_sort | ratio (median of pairs) |")
        print("|---|---|---|---|")
        for row in sorting():
            print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    if library() is None:
        sys.exit("The op library was not built: there is nothing to measure.")
    if len(sys.argv) == 3:
        arguments = json.loads(sys.argv[2])
        tf.config.threading.set_intra_op_parallelism_threads(arguments[0])
        tf.config.threading.set_inter_op_parallelism_threads(1)
        print(json.dumps(CASES[sys.argv[1]](*arguments)))
    else:
        main()
