"""How long a TTFS network takes, event-driven, beside the ReLU network that it was mapped from."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.inference.network import event_driven
from ttfs_keras.inference.timing import compiled, in_turns


def comparison(snn: keras.Model, source: keras.Model | None, x: Any) -> dict[str, Any]:
    """Return milliseconds of a call with one batch, in turns, medians.

    Args:
        snn: TTFS network of one input.
        source: the ReLU network, run with or without XLA, whichever is faster; or None.
        x: the batch, an array `(samples, ...)`.

    Returns:
        `{"samples", "event_driven_ms", "dense_ms", "source_ms", "times_faster", "layers"}`: the TTFS network
        event-driven and as it is, its source, the median over the turns of source / event-driven (both None without
        source), and the plan as plain values.

    Raises:
        OpLibraryError: the compiled op library is missing or cannot be used.
        ValueError: x does not fit the network, or weights are not finite.

    Example:
        >>> from ttfs_keras.inference.comparison import comparison
        >>> relu = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2)])
        >>> x = np.random.default_rng(0).uniform(size=(1, 8))
        >>> found = comparison(tk.convert(relu, x), relu, x)
        >>> found["samples"], found["times_faster"] > 0
        (1, True)
    """
    x = tf.cast(x, snn.inputs[0].dtype)
    model = event_driven(snn, x)
    functions = [_inference(network, x) for network in (model, snn)]
    if source is not None:
        functions.append(_faster(source, x))
    own, dense, *others = in_turns(functions)
    return {
        "samples": int(x.shape[0]),
        "event_driven_ms": float(np.median(own)),
        "dense_ms": float(np.median(dense)),
        "source_ms": float(np.median(others[0])) if others else None,
        "times_faster": float(np.median(others[0] / own)) if others else None,
        "layers": model.plan.get_config(),
    }


def _inference(model, x, jit_compile=False):
    return compiled(lambda value: model(value, training=False), x, jit_compile)


def _faster(model, x):
    functions = [_inference(model, x, jit) for jit in (False, True)]
    return functions[int(np.argmin(np.median(in_turns(functions), axis=1)))]
