"""Paired timings: two functions in turns in one process, so that a noisy machine slows both alike."""

import os
import platform
import statistics
import time
from pathlib import Path


def compare(first, second, rounds, warm_up=3):
    """Time two functions in turns.

    Args:
        first, second: functions without arguments.
        rounds: number of pairs.
        warm_up: pairs that are not counted.

    Returns:
        (median seconds of first, of second, median of the ratios first/second of each pair).
    """
    pairs = []
    for n in range(rounds + warm_up):
        # The one that goes first changes, so that neither always finds the warmer cache.
        functions = (first, second) if n % 2 else (second, first)
        seconds = {function: _timed(function) for function in functions}
        pairs.append((seconds[first], seconds[second]))
    pairs = pairs[warm_up:]
    ratio = statistics.median(a / b for a, b in pairs)
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs), ratio


def measure(function, rounds, warm_up=3):
    """Return the median seconds of a function without arguments.

    Args:
        function: to time.
        rounds: number of calls.
        warm_up: calls that are not counted.
    """
    return statistics.median([_timed(function) for _ in range(rounds + warm_up)][warm_up:])


def _timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def machine():
    """Return one line that describes this machine."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"
