"""Conversion of the networks of keras.applications; `python -m benchmarks.applications`, a few minutes."""

import resource
import subprocess
import sys
import time

import numpy as np
import tensorflow as tf

import ttfs_keras as tk
from benchmarks.pairs import compare, machine
from tests.conversion_applications.networks import SOURCES, images, source
from ttfs_keras.network.graph import Graph, compiled
from ttfs_keras.network.spiking import spiking_calls


def measure(name):
    """Print one row of the table: the measurements of an exact network, or every reason why there is none."""
    model, calibration, x = source(name), images(name, 16), images(name, 8, seed=2)
    start = time.perf_counter()
    try:
        snn = tk.convert(model, calibration, SOURCES[name][1])
    except tk.ConversionError as error:
        print(f"| {name} | {x.shape[1]}x{x.shape[1]} | " + reasons(str(error)) + " |" * 8, flush=True)
        return
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    report = tk.verify(snn, model, x)
    forward = [compiled(network) for network in (snn, model)]
    spiking, relu, ratio = compare(lambda: forward[0](x), lambda: forward[1](x), rounds=7)
    neurons = sum(int(np.prod(call.shape[1:])) for call in spiking_calls(Graph(snn)))
    side = x.shape[1]
    print(
        f"| {name} | {side}x{side} | {seconds:.1f} | {peak:.1f} | {neurons:,} | {report.max_abs_error:.1g} "
        f"| {report.agreement:.2f} | {report.premature_spikes}, {report.saturated_spikes} "
        f"| {1000 * spiking:.0f} / {1000 * relu:.0f} | {ratio:.2f} |",
        flush=True,
    )


def reasons(message):
    """Return the reasons of an error, each with the number of the layers that it holds for."""
    found = []
    for line in message.splitlines()[1:]:
        names, reason = line.strip().split(": ", 1)
        more = int(names.split(" and ")[1].split()[0]) if " and " in names else 0
        first = names.split(" and ")[0].split(", ")
        found.append(f"{len(first) + more} x {reason.split('; remedy')[0]} ({first[0]}, ...)")
    return "refused: " + "; ".join(found)


def main():
    """Print the table, one process a network so that each has a peak memory of its own."""
    if len(sys.argv) == 2:
        measure(sys.argv[1])
        return
    print(f"{machine()}, TensorFlow {tf.__version__}, float32, random weights, 16 calibration and 8 fresh images\n")
    print(
        "| network | images | convert s | peak GiB | neurons | max error | agreement | premature, saturated "
        "| forward of 8: TTFS / ReLU ms | ratio |\n|" + "---|" * 10,
        flush=True,
    )
    for name in sorted(SOURCES):
        subprocess.run([sys.executable, "-m", "benchmarks.applications", name], check=True)


if __name__ == "__main__":
    main()
