"""The read-out: membranes that integrate the last spikes and never fire."""

import keras
from keras import ops

from ttfs_keras.ttfs.synapses import Synapses


@keras.saving.register_keras_serializable(package="ttfs_keras")
class TTFSReadout(Synapses, keras.layers.Dense):
    """Read the membrane potential when the last window closes; exact twin of the `Dense` layer that gives the logits.

        V_i(t_min) = sum_j w_ij (t_min - t_j) + b_i = sum_j w_ij x_j + b_i        A_i = D_i/(t_min - t_min_prev)

    Shapes: lead times `(batch, ..., inputs)`, in window time, to potentials `(batch, ..., units)`.

    Args:
        units: number of outputs. All other arguments of `keras.layers.Dense` but `activation` hold too.
        parameterization: "b1" or "alpha1".
        perturbation: None, a `Perturbation` or a list of them; only its weights apply.

    Raises:
        ValueError: an argument is outside its range or an activation is given.
    """

    def integrate(self, lead, weights):
        """Return the sums over the synapses."""
        return ops.matmul(lead, weights)

    def call(self, lead):
        """Return the potentials."""
        return self.potential(lead)
