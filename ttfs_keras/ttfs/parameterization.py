"""The two ways to parameterize a TTFS neuron: B1 and alpha1."""

from keras import ops


class B1:
    """Slope 1 inside the window, none before it: A = 0, B = 1.

        w = W,  b = D        dt_i/dW_ij = t_j - t_min,  dt_i/dD_i = -1

    Every factor of the chain rule equals the ReLU network's, so any optimizer takes the same steps.
    Source: Stanojevic et al., Nature Communications 15:6793 (2024).
    """

    initial_slope = 0.0

    def slope(self, weights):
        """Return B, `(neurons,)`, of weights `(..., inputs, neurons)`."""
        return ops.ones_like(weights[(0,) * (len(weights.shape) - 1)])

    def effective(self, weights, offsets):
        """Return the equivalent ReLU weights and biases, of the same shapes."""
        return weights, offsets


class Alpha1:
    """All input currents persist: A = 1 before the window, B_i = 1 + sum_j W_ij inside it.

        w = W/B,  b = D/B        dt_i/dW_ij = (t_j - t_i)/B_i

    Its Jacobian explodes where W is drawn as if it were w (`NaiveAlpha1`) and starts right with `SmartAlpha1`. A neuron
    with B <= 0 has no physical counterpart; `tk.simulate` refuses it. Source: as for `B1`, the alpha = 1 model.
    """

    initial_slope = 1.0

    def slope(self, weights):
        """Return B, `(neurons,)`, of weights `(..., inputs, neurons)`."""
        return 1 + ops.sum(weights, axis=tuple(range(len(weights.shape) - 1)))

    def effective(self, weights, offsets):
        """Return the equivalent ReLU weights and biases, of the same shapes."""
        slope = self.slope(weights)
        return weights / slope, None if offsets is None else offsets / slope


_NAMES = {"b1": B1, "alpha1": Alpha1}


def get(identifier):
    """Return a parameterization: "b1", "alpha1", or an instance.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(identifier, str) and identifier in _NAMES:
        return _NAMES[identifier]()
    if not isinstance(identifier, B1 | Alpha1):
        raise ValueError(f"parameterization: expected one of {sorted(_NAMES)}. Received: {identifier!r}")
    return identifier


def name(parameterization):
    """Return the name by which `get` finds a parameterization."""
    return next(key for key, value in _NAMES.items() if type(parameterization) is value)
