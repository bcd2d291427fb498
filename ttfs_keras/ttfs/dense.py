"""Densely connected TTFS neurons."""

from typing import Any

import keras
from keras import ops

from ttfs_keras.ttfs.synapses import SpikingSynapses, given
from ttfs_keras.ttfs.windows import WindowRule


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
        unit: activation of the ReLU source for a lead time of 1, see `TTFSNeuron`.

    Raises:
        ValueError: an argument is outside its range or an activation is given.

    Example:
        >>> layer = tk.TTFSDense(2, window=2.0, kernel_initializer="ones")
        >>> layer(np.array([[0.5, 0.25, 0.0], [1.0, 1.0, 1.0]])).numpy().tolist()
        [[0.75, 0.75], [2.0, 2.0]]
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
        window: float = 1.0,
        window_rule: WindowRule | None = None,
        parameterization: Any = "b1",
        perturbation: Any = None,
        unit: float = 1.0,
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
            window=window,
            window_rule=window_rule,
            parameterization=parameterization,
            perturbation=perturbation,
            unit=unit,
            **kwargs,
        )

    def integrate(self, lead, weights):
        return ops.matmul(lead, weights)
