"""Milliseconds of functions that are called in turns: what else the machine does then meets all of them."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

ROUNDS, SECONDS = (9, 60), 0.5  # turns, at least and at most, and for how long


def compiled(function: Callable, x: Any, jit_compile: bool = False) -> Callable[[], Any]:
    """Return a function without arguments that runs a compiled one on a tensor."""
    specification = tf.TensorSpec(x.shape, x.dtype)
    concrete = tf.function(
        lambda value: function(value), autograph=False, jit_compile=jit_compile
    ).get_concrete_function(specification)
    return lambda: concrete(x)


def in_turns(functions: Sequence[Callable[[], Any]]) -> np.ndarray:
    """Return the milliseconds of each call, `(functions, turns)`; all functions take their turn before the next one."""
    for function in [*functions, *functions]:
        function()
    turns: list[list[float]] = []
    end = time.perf_counter() + SECONDS
    while len(turns) < ROUNDS[0] or (len(turns) < ROUNDS[1] and time.perf_counter() < end):
        took = [0.0] * len(functions)
        # Which one goes first changes, so that neither always finds the warmer cache.
        for number in range(len(functions)) if len(turns) % 2 else reversed(range(len(functions))):
            start = time.perf_counter()
            functions[number]()
            took[number] = 1000 * (time.perf_counter() - start)
        turns.append(took)
    return np.array(turns).T
