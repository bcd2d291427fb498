"""The read-out: membranes that integrate the last spikes and never fire."""

from typing import Any

import keras
from keras import ops

from ttfs_keras.ttfs.synapses import Synapses, given


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

    Example:
        >>> layer = tk.TTFSReadout(1, kernel_initializer="ones")
        >>> layer(np.array([[0.5, 0.25, 0.0]])).numpy().tolist()
        [[0.75]]
    """

    def __init__(
        self,
        units: int,
        activation: None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        *,
        parameterization: Any = "b1",
        perturbation: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            units=units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **given(lora_rank=lora_rank, lora_alpha=lora_alpha, quantization_config=quantization_config),
            parameterization=parameterization,
            perturbation=perturbation,
            **kwargs,
        )

    def integrate(self, lead, weights):
        return ops.matmul(lead, weights)

    def call(self, lead):
        return self.potential(lead)
