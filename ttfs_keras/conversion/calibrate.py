"""Window widths from the activations that calibration data cause."""

import logging
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from ttfs_keras.errors import ConversionError
from ttfs_keras.ttfs.premature import bounds, overshoots
from ttfs_keras.ttfs.synaptic_map import Populations
from ttfs_keras.ttfs.windows import positive_quantile

_LOG = logging.getLogger("ttfs_keras")

# Samples whose potentials are followed before the windows open; and samples times neurons, to bound the time.
SCANNED, FOLLOWED = 1024, 2**26


def set_windows(
    populations: Populations,
    clips: dict[str, float | None],
    data: Iterable[list[np.ndarray]],
    margin: float,
    quantile: float | None,
    data_free: bool,
) -> dict[str, float]:
    """Return `{layer name: width}` of a network whose windows are still open wide.

    The width is (1 + margin) X_n, X_n the largest activation on the data (or the mean batch's quantile). Where a
    potential overshoots that width before its window opens, the width is the overshoot: no spike of the first 1,024
    samples (fewer for networks of more than 65,536 neurons) is premature. A layer that clips (ReLU6) has the width of
    its clip, or less by quantile or margin.

    Args:
        populations: of the network.
        clips: `{layer name: width at which the source clips, or None}` of its neurons.
        data: batches, each a list with an array for each input; passed over several times.
        margin: zeta.
        quantile: in (0, 1], or None for the maximum.
        data_free: from the positive weights alone.

    Raises:
        ConversionError: all data are 0. Layers that never fire on data are warned of, since other data may fire them.
    """
    if data_free:
        widths = bounds(populations, clips)
    else:
        if not any(array.any() for batch in data for array in batch):
            raise ConversionError(
                "calibration_data: expected inputs like those to come, which give the windows. Received: zeros only"
            )
        measured = _widths(populations, data, margin, quantile)
        exact = quantile is None and margin >= 0
        widths = {
            name: measured[name] if not clip else clip if exact else min(clip, measured[name])
            for name, clip in clips.items()
        }
        if exact:
            free = [name for name, clip in clips.items() if clip is None]
            for batch in _first(data, populations):
                above = overshoots(populations, batch, {name: widths[name] for name in free})
                widths |= {name: max(widths[name], overshoot) for name, overshoot in above.items()}
    if not data_free and (silent := [name for name, width in widths.items() if width <= 0]):
        _LOG.warning(
            "calibration: no spike in %s: their windows are 1 wide, and data that make them spike may be inexact",
            ", ".join(silent),
        )
    return {name: width if width > 0 else 1.0 for name, width in widths.items()}


def _first(data, populations) -> Iterator[list[np.ndarray]]:
    """Yield the batches, or parts of them, whose potentials are followed."""
    shapes = [synapses.call.shape[1:] for synapses in populations.maps.values()]
    neurons = sum(np.prod([size or 1 for size in shape]) for shape in shapes)
    left = int(np.clip(FOLLOWED // max(neurons, 1), 1, SCANNED))
    for batch in data:
        yield [array[:left] for array in batch]
        left -= len(batch[0])
        if left <= 0:
            return


def _widths(populations, data, margin, quantile):
    def measure(leads):
        if quantile is None:
            return [tf.reduce_max(lead) for lead in leads]
        return [positive_quantile(lead, quantile) for lead in leads]

    symbols = [synapses.call.outputs[0] for synapses in populations.maps.values()]
    run = populations.graph.compiled(symbols, measure)
    measured = np.array([[float(value) for value in run(*batch)] for batch in data])
    sizes = np.maximum(measured.max(0) if quantile is None else measured.mean(0), 0)
    return dict(zip(populations.maps, (1 + margin) * sizes, strict=True))
