"""Densely connected TTFS neurons."""

import keras
from keras import ops

from ttfs_keras.ttfs.synapses import SpikingSynapses


@keras.saving.register_keras_serializable(package="ttfs_keras")
class TTFSDense(SpikingSynapses, keras.layers.Dense):
    """Dense layer of neurons that spike at most once, exact twin of `Dense(units, activation="relu")`.

        x_i = min(max(sum_j w_ij x_j + b_i, 0), X)        x = t_max - t, the lead time

    Shapes: lead times `(batch, ..., inputs)` to lead times `(batch, ..., units)`, in window time.

    Args:
        units: number of neurons. All other arguments of `keras.layers.Dense` but `activation` hold too.
        window: initial width of the firing window, > 0.
        window_rule: `GrowToMaximum` (default), `TrackQuantile` or `FixedWindow`.
        parameterization: "b1" or "alpha1".
        perturbation: None, a `Perturbation` or a list of them.

    Raises:
        ValueError: an argument is outside its range or an activation is given.
    """

    def integrate(self, lead, weights):
        """Return the sums over the synapses."""
        return ops.matmul(lead, weights)
