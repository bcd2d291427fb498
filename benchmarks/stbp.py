"""Directly trained spiking layers: folded time against loops over time, and the memory of the sequence gradient."""

import ctypes
import gc
import resource
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.pairs import compare, machine
from ttfs_keras import stbp
from ttfs_keras.stbp import surrogates
from ttfs_keras.stbp.sequence import lif_sequence, potentials

THRESHOLD, DECAY = 0.4, 0.25
SHAPE = (32, 4, 28, 28, 16)  # batch, time, height, width, channels
NEURONS = (32, 6, 32, 32, 64)
MIB = 2**20


def stage(kind):
    """Return a model of two convolutions with batch norm and neurons, by how it walks through time."""
    x = inputs = keras.Input(SHAPE[1:])
    for _ in range(2):
        convolution = layers.Conv2D(SHAPE[-1], 3, padding="same", use_bias=False)
        if kind == "folded":
            x = stbp.TimeFolded(convolution)(x)
        elif kind == "TimeDistributed":
            x = layers.TimeDistributed(convolution)(x)
        else:
            x = keras.ops.stack([convolution(x[:, step]) for step in range(SHAPE[1])], axis=1)
        x = stbp.LIF()(stbp.ThresholdDependentBatchNormalization(THRESHOLD)(x))
    model = keras.Model(inputs, layers.Dense(10)(keras.ops.mean(x, axis=(1, 2, 3))))
    model.compile(keras.optimizers.Adam(1e-6), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def folded_time(rounds=15):
    """Print the table of training and inference by how time is walked through."""
    random = np.random.default_rng(0)
    x = tf.constant(random.normal(size=SHAPE).astype("float32"))
    y = tf.constant(random.integers(0, 10, SHAPE[0]))
    folded = stage("folded")
    print(f"Two convolutions with batch norm and neurons, {SHAPE}\n")
    print("| against | step | folded ms | other ms | ratio (median of pairs) |\n|---|---|---|---|---|")
    for kind in ("loop", "TimeDistributed"):
        other = stage(kind)
        steps = {
            "training": (lambda: folded.train_on_batch(x, y), lambda m=other: m.train_on_batch(x, y)),
            "inference": (lambda: folded.predict_on_batch(x), lambda m=other: m.predict_on_batch(x)),
        }
        for step, functions in steps.items():
            a, b, ratio = compare(*functions, rounds)
            print(f"| {kind} | {step} | {1000 * a:.1f} | {1000 * b:.1f} | {ratio:.3f} |", flush=True)


def unrolled(x, threshold, decay, surrogate):
    """Return what `lif_sequence` does, with the surrogate gradient at each step and the rest left to autodiff."""

    @tf.custom_gradient
    def fire(overdrive):
        return surrogate.fire(overdrive), lambda upstream: upstream * surrogate.derivative(overdrive)

    steps = potentials(x, threshold, decay, fire, "zero")
    return tf.stack([fire(u - threshold) for u in steps], axis=1)


def gradient_of(function, surrogate):
    """Return a function of currents and upstream gradients that gives the gradient of the neurons."""

    def gradient(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            spikes = function(x, tf.constant(THRESHOLD), tf.constant(DECAY), surrogate)
        return tape.gradient(spikes, x, upstream)

    return gradient


SEQUENCES = {"custom gradient": lif_sequence, "autodiff": unrolled}


def gradient_time(rounds=25):
    """Print the table of the gradient's time, one gradient against the other."""
    random = np.random.default_rng(0)
    x, upstream = (tf.constant(random.normal(0, 0.4, NEURONS).astype("float32")) for _ in range(2))
    print(f"\nGradient of the neurons alone, {NEURONS}\n")
    print("| surrogate | mode | custom ms | autodiff ms | ratio (median of pairs) |\n|---|---|---|---|---|")
    for name in ("rectangle", "arctan"):
        for mode, jit_compile in (("graph", False), ("XLA", True)):
            custom, autodiff = (
                tf.function(gradient_of(function, surrogates.get(name)), jit_compile=jit_compile)
                for function in SEQUENCES.values()
            )
            a, b, ratio = compare(lambda f=custom: f(x, upstream), lambda f=autodiff: f(x, upstream), rounds)
            print(f"| {name} | {mode} | {1000 * a:.1f} | {1000 * b:.1f} | {ratio:.3f} |", flush=True)


def resident():
    """Return the bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure_held(name):
    """Return the bytes that an eager gradient holds between its passes, beside the spikes."""
    x, kept, copies = tf.random.normal(NEURONS, stddev=0.4), [], 4
    arguments = tf.constant(THRESHOLD), tf.constant(DECAY), surrogates.get("arctan")
    SEQUENCES[name](x[:1], *arguments)  # so that kernels and threads exist
    before = settled()
    for _ in range(copies):  # several at once, beside which what the allocator hides is small
        with tf.GradientTape() as tape:
            tape.watch(x)
            kept.append((SEQUENCES[name](x, *arguments), tape))
    return (settled() - before) / copies - 4 * np.prod(NEURONS)


def measure_peak(name):
    """Return the bytes that a gradient in a graph takes at its peak, beside its inputs."""
    gradient = gradient_of(SEQUENCES[name], surrogates.get("arctan"))
    shape = (None, *NEURONS[1:])
    compiled = tf.function(gradient, input_signature=[tf.TensorSpec(shape), tf.TensorSpec(shape)])
    x, upstream = tf.random.normal(NEURONS, stddev=0.4), tf.random.normal(NEURONS)
    compiled(x[:1], upstream[:1])  # so that the graph, kernels and threads exist
    before = settled()
    compiled(x, upstream)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


MEASURES = {"held": measure_held, "peak": measure_peak}


def settled():
    """Return the resident bytes after everything that is free was given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return resident()


def gradient_memory():
    """Print the table of the gradient's memory."""
    potential = 4 * np.prod(NEURONS) / MIB
    print(f"\nMemory of the gradient of the neurons alone, arctan; u alone has {potential:.0f} MiB\n")
    print("| gradient | held between passes, eager, without the spikes MiB | by u | peak in a graph MiB | by u |")
    print("|---|---|---|---|---|")
    for name in SEQUENCES:
        row = []
        for measure in MEASURES:  # each in a process of its own, which has not freed anything yet
            command = [sys.executable, "-m", "benchmarks.stbp", measure, name]
            row.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / MIB)
        held, peak = row
        print(f"| {name} | {held:.0f} | {held / potential:.2f} | {peak:.0f} | {peak / potential:.2f} |", flush=True)


def main():
    """Print all tables, or measure the memory of one gradient."""
    if len(sys.argv) > 1:
        print(MEASURES[sys.argv[1]](sys.argv[2]))
        return
    print(f"{machine()}, TensorFlow {tf.__version__}, Keras {keras.__version__}, float32\n")
    folded_time()
    gradient_time()
    gradient_memory()


if __name__ == "__main__":
    main()
