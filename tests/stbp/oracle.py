"""An independent NumPy float64 account of leaky integrate-and-fire neurons, hard and smooth."""

import numpy as np


def _sigmoid(v):
    return 1 / (1 + np.exp(-v))


def _triangle(v, w):
    inner = np.where(v < 0, (1 + v / w) ** 2 / 2, 1 - (1 - v / w) ** 2 / 2)
    return np.where(v <= -w, 0.0, np.where(v >= w, 1.0, inner))


# Rise from 0 to 1 of width w at overdrive v, and where its slope has kinks.
SMOOTH = {
    "rectangle": (lambda v, w: np.interp(v, [-w / 2, w / 2], [0.0, 1.0]), lambda w: (-w / 2, w / 2)),
    "triangle": (_triangle, lambda w: (-w, 0, w)),
    "sigmoid": (lambda v, w: _sigmoid(v / w), lambda w: ()),
    "arctan": (lambda v, w: 0.5 + np.arctan(np.pi * v / w) / np.pi, lambda w: ()),
    "fast_sigmoid": (lambda v, w: (1 + v / (w + np.abs(v))) / 2, lambda w: (0,)),
}


def step(v):
    return (v > 0).astype(float)


def run(x, threshold, decay, fire, reset, resetting=None):
    """Return potentials and spikes `(time, neurons)`; spikes `resetting` reset in place of the emitted ones."""
    potentials, spikes = [], []
    for t, current in enumerate(x):
        u = np.array(current)
        if t:
            o = spikes[-1] if resetting is None else resetting[t - 1]
            left = potentials[-1] * (1 - o) if reset == "zero" else potentials[-1] - threshold * o
            u = u + decay * left
        potentials.append(u)
        spikes.append(fire(u - threshold))
    return np.array(potentials), np.array(spikes)
