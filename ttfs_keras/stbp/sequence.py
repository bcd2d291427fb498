"""The sequence of a layer of leaky integrate-and-fire neurons under one gradient, which stores the potentials only."""

import tensorflow as tf

from ttfs_keras.stbp.surrogates import Surrogate


class Reset:
    """What a spike leaves of the potential; all tensors `(batch, ...)` but the threshold, a scalar."""

    @staticmethod
    def rest(potential, spikes, threshold):
        """Return r, what the reset leaves of u."""
        raise NotImplementedError  # abstract

    @staticmethod
    def partials(potential, spikes, threshold):
        """Return dr/du, dr/do and dr/dV_th."""
        raise NotImplementedError  # abstract


class ZeroReset(Reset):
    """A spike takes the whole potential away: r = u (1 - o)."""

    @staticmethod
    def rest(potential, spikes, threshold):
        """Return r, what the reset leaves of u."""
        return potential * (1 - spikes)

    @staticmethod
    def partials(potential, spikes, threshold):
        """Return dr/du, dr/do and dr/dV_th."""
        return 1 - spikes, -potential, tf.zeros_like(threshold)


class SubtractReset(Reset):
    """A spike takes the threshold away: r = u - V_th o."""

    @staticmethod
    def rest(potential, spikes, threshold):
        """Return r, what the reset leaves of u."""
        return potential - threshold * spikes

    @staticmethod
    def partials(potential, spikes, threshold):
        """Return dr/du, dr/do and dr/dV_th."""
        return tf.ones_like(potential), -threshold, -spikes


RESETS: dict[str, type[Reset]] = {"zero": ZeroReset, "subtract": SubtractReset}


def potentials(inputs, threshold, decay, fire, reset):
    """Return the potentials u of every step, a list of T tensors `(batch, ...)`.

        u[t] = decay r(u[t-1], o[t-1]) + x[t],  o[t] = fire(u[t] - V_th),  u and o start at 0

    Args:
        inputs: `(batch, T, ...)` x, in units of the potential; T is static.
        threshold: scalar V_th.
        decay: scalar share of the potential that is left after a step.
        fire: from overdrives u - V_th to spikes.
        reset: "zero" or "subtract".
    """
    first, *rest = tf.unstack(inputs, axis=1)
    steps = [first]
    for x in rest:
        u = steps[-1]
        steps.append(decay * RESETS[reset].rest(u, fire(u - threshold), threshold) + x)
    return steps


def lif_sequence(
    inputs: tf.Tensor,
    threshold: tf.Tensor,
    decay: tf.Tensor,
    surrogate: Surrogate,
    reset: str = "zero",
    detach_reset: bool = False,
) -> tf.Tensor:
    """Spikes of leaky integrate-and-fire neurons over T steps, for the equations see `potentials`.

    Backward, with delta[t] = dL/du[t], phi the surrogate derivative and delta[T] = 0, for t = T-1..0:

        g        = dL/do[t] + decay delta[t+1] dr/do        (without the second term if the reset is detached)
        delta[t] = g phi(u[t] - V_th) + decay delta[t+1] dr/du
        dL/dx[t] = delta[t]        dL/d decay = sum delta[t+1] r[t]
        dL/dV_th = sum -g phi(u[t] - V_th) + decay delta[t+1] dr/dV_th

    Spikes and resets are computed anew from u, which alone is kept. Source: spatio-temporal backpropagation of Wu et
    al. (2018), Frontiers in Neuroscience 12:331, written out for both resets.

    Args:
        inputs: `(batch, T, ...)` in units of the potential; T is static and at least 1.
        threshold: scalar tensor V_th of the same dtype.
        decay: scalar tensor of the same dtype.
        surrogate: a `Surrogate`.
        reset: "zero" or "subtract".
        detach_reset: whether the gradient leaves out that a spike resets its neuron.

    Returns:
        `(batch, T, ...)` spikes, 0 or 1.

    Example:
        >>> currents, surrogate = tf.constant([[[0.3], [0.4]]]), stbp.surrogates.get("rectangle")
        >>> stbp.lif_sequence(currents, tf.constant(0.4), tf.constant(0.25), surrogate).numpy().tolist()
        [[[0.0], [1.0]]]
    """
    rule = RESETS[reset]

    @tf.custom_gradient
    def sequence(inputs, threshold, decay):
        # Else an eager tape would record, and keep, every intermediate beside this gradient.
        inputs, threshold, decay = (tf.stop_gradient(value) for value in (inputs, threshold, decay))
        steps = potentials(inputs, threshold, decay, surrogate.fire, reset)
        spikes = tf.stack([surrogate.fire(u - threshold) for u in steps], axis=1)

        def gradient(upstream):
            to_inputs: list[tf.Tensor] = []
            to_threshold, to_decay = tf.zeros_like(threshold), tf.zeros_like(decay)
            for u, g in zip(reversed(steps), reversed(tf.unstack(upstream, axis=1)), strict=True):
                through_decay = 0.0
                if to_inputs:  # the last step's reset has no effect
                    later, o = to_inputs[-1], surrogate.fire(u - threshold)
                    by_potential, by_spike, by_threshold = rule.partials(u, o, threshold)
                    if not detach_reset:
                        g += decay * later * by_spike
                    through_decay = decay * later * by_potential
                    to_threshold += decay * tf.reduce_sum(later * by_threshold)
                    to_decay += tf.reduce_sum(later * rule.rest(u, o, threshold))
                through_spike = g * surrogate.derivative(u - threshold)
                to_threshold -= tf.reduce_sum(through_spike)
                to_inputs.append(through_spike + through_decay)
            return tf.stack(to_inputs[::-1], axis=1), to_threshold, to_decay

        return spikes, gradient

    return sequence(inputs, threshold, decay)
