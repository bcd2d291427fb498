"""Event-driven inference beside the same ReLU network in plain Keras; `make bench`.

`python -m benchmarks.event_driven [--data=FOLDER] [--csv=FILE]`: FOLDER holds `cifar10vgg.h5` and `cifar10_jpeg.npz`,
without which VGG16 has random weights; FILE gets the curve of time against the share of spikes.

Threads belong to a process, so each measurement runs in one of its own.
"""

import csv
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import ttfs_keras as tk
from benchmarks.pairs import compare, machine, measure
from ttfs_keras.data import digits
from ttfs_keras.files.atomic import replacing
from ttfs_keras.models import relu_model
from ttfs_keras.models.small import small_resnet
from ttfs_keras.network.graph import Graph
from ttfs_keras.ops import event_driven as ops
from ttfs_keras.ttfs.synapses import SpikingSynapses

FLAGS = flags.FLAGS
flags.DEFINE_string("data", "../shared/data", "folder of cifar10vgg.h5 and cifar10_jpeg.npz")
flags.DEFINE_string("csv", None, "file for the curve of time against the share of spikes")
flags.DEFINE_string("run", None, "JSON of one measurement, for the process of its own that it needs")

MEAN, SCALE = 120.707, 64.15  # of the pixels that cifar10vgg.h5 was trained on
# Spikes per neuron: None is the mapped network's own; the others are reached by lower biases: only time matters here.
SHARES = (None, 0.3, 0.1)
LAYERS = [(32, 64, 64), (16, 128, 128), (8, 256, 256), (4, 512, 512), (2, 512, 512)]  # image side, channels, filters
CURVE = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)


def fc(data):
    """Return 784-4096-4096-10, trained for two epochs on the embedded digits, their images and the input range."""
    dense = [keras.layers.Dense(units, "relu") for units in (4096, 4096)]
    model = keras.Sequential([keras.Input((784,)), *dense, keras.layers.Dense(10)])
    model.compile(keras.optimizers.Adam(1e-4), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = digits.read()
    x = images.x_train.reshape(-1, 784).astype("float32") / 16
    model.fit(x, images.y_train, batch_size=64, epochs=2, verbose=0)
    return model, x, (0.0, 1.0)


def vgg16(data):
    """Return the VGG16 of `cifar10vgg.h5`, images and the input range."""
    model = relu_model("VGG_BN", (32, 32, 3), 10)
    low, high = -MEAN / SCALE, (255 - MEAN) / SCALE
    weights = Path(data) / "cifar10vgg.h5"
    if not weights.exists():
        return model, np.random.default_rng(0).uniform(low, high, (64, 32, 32, 3)).astype("float32"), (low, high)
    tk.load_legacy_h5(model, weights)
    with np.load(Path(data) / "cifar10_jpeg.npz") as file:
        at, packed = file["test_offsets"], file["test_jpeg"]
    images = [tf.io.decode_jpeg(packed[at[n] : at[n + 1]].tobytes()).numpy() for n in range(64)]
    return model, (np.stack(images).astype("float32") - MEAN) / SCALE, (low, high)


def residual(data):
    """Return a small residual network of random weights, images and the input range."""
    x = np.random.default_rng(0).uniform(size=(64, 32, 32, 3)).astype("float32")
    model = small_resnet((32, 32, 3), 10, width=32)
    model.compile(loss="mse")
    # Batch norms with statistics, as a trained network has them.
    for _ in range(30):
        model(x, training=True)
    return model, x, (0.0, 1.0)


NETWORKS = {"FC 784-4096-4096-10": fc, "VGG16": vgg16, "small_resnet, 32 wide": residual}


def thinned(snn, x, share):
    """Lower the biases of a network, layer by layer, until so many of the neurons of each layer spike."""
    graph = Graph(snn)
    for call in graph.calls:
        layer = call.operation
        if isinstance(layer, SpikingSynapses):
            lead = graph.compiled(call.inputs)(x)[0]
            excess = np.quantile(layer.potential(lead), 1 - share)
            layer.bias.assign(layer.bias - float(excess))
        elif isinstance(layer, tk.TTFSNeuron):
            potential = graph.compiled(call.inputs)(x)[0]
            excess = float(np.quantile(potential, 1 - share))
            linear = graph.makers[call.inputs[0]]
            while not hasattr(linear.operation, "kernel"):
                linear = graph.makers[linear.inputs[0]]
            linear.operation.bias.assign(linear.operation.bias - excess)


def fastest(model, x):
    """Return the faster one of a model's functions with and without XLA, and which one that is."""
    found = {}
    for name, jit in (("TensorFlow", False), ("XLA", True)):
        function = tf.function(lambda value: model(value, training=False), jit_compile=jit, autograph=False)
        concrete = function.get_concrete_function(tf.TensorSpec(x.shape, x.dtype))
        found[name] = lambda concrete=concrete: concrete(x)
    name = min(found, key=lambda key: measure(found[key], rounds=15))
    return found[name], name


def network(name, share, batch, data):
    """Return what a row of the table of networks shows."""
    keras.utils.set_random_seed(0)
    model, images, input_range = NETWORKS[name](data)
    snn = tk.convert(model, images, input_range, verification=False)
    if share is not None:
        thinned(snn, images, share)
    x = tf.constant(images[:batch])
    event_driven = tk.event_driven(snn, x)
    concrete = tf.function(lambda value: event_driven(value, training=False), autograph=False).get_concrete_function(
        tf.TensorSpec(x.shape, x.dtype)
    )
    relu, kind = fastest(model, x)
    first, second, ratio = compare(lambda: concrete(x), relu, rounds=100 if batch == 1 else 30)
    spikes = [np.mean(np.isfinite(times)) for times in tk.spikes(snn, images).values()]
    sizes = [np.prod(times.shape) for times in tk.spikes(snn, images).values()]
    outputs, expected = np.asarray(event_driven(x)), np.asarray(snn(x))
    return {
        "spikes": float(np.average(spikes[1:], weights=sizes[1:])),
        "ms": 1000 * first,
        "relu": 1000 * second,
        "kind": kind,
        "speed": 1 / ratio,
        "error": float(np.abs(outputs - expected).max() / np.abs(expected).max()),
        "plan": str(event_driven.plan),
    }


def layer(side, channels, filters, share):
    """Return milliseconds of the event-driven and the dense kernel of a 3x3 convolution, and how much faster it is."""
    rng = np.random.default_rng(0)
    shape = (1, side, side, channels)
    lead = tf.constant((rng.uniform(size=shape) * (rng.uniform(size=shape) < share)).astype("float32"))
    kernel = rng.normal(size=(3, 3, channels, filters)).astype("float32")
    weights, packed = tf.Variable(kernel), tf.Variable(ops.pack_conv2d(kernel))
    bias = tf.Variable(np.zeros(filters, "float32"))

    def event_driven(value):
        return ops.conv2d(value, packed, bias, 100.0, kernel_size=(3, 3), padding=(1, 1, 1, 1))[0]

    def dense(value):
        return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(value, weights, 1, "SAME"), bias))

    concrete = [tf.function(f, autograph=False).get_concrete_function(lead) for f in (event_driven, dense)]
    first, second, ratio = compare(lambda: concrete[0](lead), lambda: concrete[1](lead), rounds=60)
    return {"ms": 1000 * first, "dense": 1000 * second, "speed": 1 / ratio}


MEASURES = {"network": network, "layer": layer}


def separately(threads, measured, *arguments):
    """Return what a measurement gives in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.event_driven", "--run", json.dumps([threads, measured, *arguments])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(_):
    """Print the tables."""
    if FLAGS.run:
        threads, measured, *arguments = json.loads(FLAGS.run)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        print(json.dumps(MEASURES[measured](*arguments)))
        return
    print(f"{machine()}, TensorFlow {tf.__version__}, Keras {keras.__version__}, float32\n")
    print(
        "| network | batch | threads | spikes/neuron | event-driven ms | ReLU ms (faster of TensorFlow, XLA) "
        "| times faster (median of pairs) | error |\n|" + "---|" * 8
    )
    plans = []
    for name in NETWORKS:
        for threads, share, batch in [*((n, share, 1) for n in (1, 2) for share in SHARES), (1, None, 8)]:
            row = separately(threads, "network", name, share, batch, FLAGS.data)
            print(
                f"| {name} | {batch} | {threads} | {row['spikes']:.2f} | {row['ms']:.2f} | {row['relu']:.2f} "
                f"({row['kind']}) | {row['speed']:.2f} | {row['error']:.0e} |",
                flush=True,
            )
            if (threads, batch) == (1, 1):
                plans.append(f"{name}, {row['spikes']:.2f} spikes per neuron\n{row['plan']}")
    print("\n" + "\n\n".join(plans))
    rows = []
    for side, channels, filters in LAYERS:
        for share in CURVE:
            row = separately(1, "layer", side, channels, filters, share)
            rows.append([f"{side}x{side}x{channels} -> {filters}", share, *(f"{value:.4f}" for value in row.values())])
    print("\n| 3x3 convolution | spikes/neuron | event-driven ms | dense ms | times faster |\n|" + "---|" * 5)
    print("\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows))
    if FLAGS.csv:
        with replacing(FLAGS.csv) as path, path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["layer", "spikes_per_neuron", "event_driven_ms", "dense_ms", "speed"], *rows])


if __name__ == "__main__":
    app.run(main)
