"""Activation functions as what the spiking network has in their place: neurons, or a digital step at the end."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import activations, layers

from ttfs_keras.conversion.registry import Refusal, rule_of


class Ramp(NamedTuple):
    """What one population of neurons adds to a piecewise linear function of x.

        weight y        y = min(max(sign (x - start), 0), width), 0 where y <= threshold

    Attributes:
        weight: number or array that broadcasts to a sample.
        sign: 1 or -1.
        start: number or array that broadcasts to a sample.
        width: of the window, as of ReLU6, or None.
        threshold: >= 0; the neurons stop firing that long before t_max.
        subtracted: whether it is subtracted, not added.
    """

    weight: Any = 1.0
    sign: int = 1
    start: Any = 0.0
    width: float | None = None
    threshold: float = 0.0
    subtracted: bool = False


def apply_activation(activation: Any, value: Any, network: Any, call: Any) -> Any:
    """Return the mapped value behind an activation function or an activation layer given as one."""
    if activation in (None, activations.linear):
        return value
    if activation in (activations.relu, keras.ops.relu):
        return rectify(value, network, call)
    if activation in (activations.relu6, keras.ops.relu6):
        return rectify(value, network, call, max_value=6.0)
    if activation is activations.leaky_relu:
        return rectify(value, network, call, negative_slope=0.2)
    if activation is activations.hard_sigmoid:
        return hard_sigmoid(value, network, call)
    if activation is activations.hard_tanh:
        return clip(value, -1.0, 1.0, network, call)
    if activation is activations.soft_shrink:
        return soft_shrink(value, 0.5, network, call)
    if activation is activations.hard_shrink:
        return hard_shrink(value, 0.5, network, call)
    rule = rule_of(activation) if isinstance(activation, layers.Layer) else None
    if rule is not None:
        return rule(call.of(activation), [value], network)
    name = getattr(activation, "__name__", None) or getattr(activation, "name", None) or repr(activation)
    refusal = Refusal(
        f"its activation {name} is not piecewise linear and does not end the model", "train the model with ReLU"
    )
    if isinstance(call.operation, layers.Activation) or not (
        hasattr(activation, "get_config") or hasattr(activation, "__name__")
    ):
        raise refusal
    step = layers.Activation(activation, name=f"{call.name}_{name}")
    return network.digital(call.of(step), [value], [refusal.line(call)], step.name)[0]


def ramps(value: Any, found: Sequence[Ramp], network: Any, call: Any, base: Any = 0.0) -> Any:
    """Return `base` and the sum of ramps of a value: spikes if there is one, else potentials.

    Args:
        value: mapped input.
        found: the `Ramp`s.
        network: the `Network`.
        call: the source's `Call` whose output they are.
        base: number or array that broadcasts to a sample.
    """
    if len(found) > 1:
        value = network.unscaled(value)  # once for all
    plain = len(found) == 1 and not np.any(base) and np.all(np.equal(found[0].weight, 1)) and not found[0].subtracted
    added: list[Any] = []
    subtracted: list[Any] = []
    for ramp in found:
        name = call.name if plain else f"{call.name}_{'positive' if ramp.sign > 0 else 'negative'}"
        shifted = network.affine(value, 1.0, -np.asarray(ramp.start)) if np.any(ramp.start) else value
        spikes = network.fire(shifted, name, ramp.width, ramp.sign, ramp.threshold)
        spikes = network.affine(spikes, ramp.weight, 0.0)
        (subtracted if ramp.subtracted else added).append(spikes)
    if len(found) == 1:
        return network.affine(*added, 1.0, base) if added else network.affine(*subtracted, -1.0, base)
    result = network.sum(added, subtracted, call.name)
    return network.affine(result, 1.0, base) if np.any(base) else result


def rectify(
    value: Any,
    network: Any,
    call: Any,
    max_value: float | None = None,
    negative_slope: Any = 0.0,
    threshold: float = 0.0,
) -> Any:
    """Return what ReLU makes of a value, in Keras's definition of its three arguments.

        max(v, 0) - negative_slope max(-v, 0)        a positive and a negative channel, exact for LeakyReLU and PReLU

    Args:
        value: mapped input.
        network: the `Network`.
        call: the source's `Call` that has these activations.
        max_value: clip of ReLU6, a window of that width.
        negative_slope: number or array that broadcasts to one sample; of threshold - v below the threshold.
        threshold: >= 0; activations up to it are 0, as if the neurons stopped firing that long before t_max.
    """
    if max_value is not None and max_value <= 0:
        raise Refusal(f"max_value={max_value} leaves nothing", "give it a positive max_value")
    if max_value is not None and threshold >= max_value:
        raise Refusal(f"threshold={threshold} is not below max_value={max_value}", "raise max_value")
    slope = np.asarray(negative_slope, np.float64)
    if not slope.ndim and max_value is None and not threshold:
        slope = np.asarray(np.float32(slope), np.float64)  # as TensorFlow's leaky_relu holds it, whatever the dtype
    if max_value is not None:
        max_value = float(np.float32(max_value))  # as Keras's clip holds it, whatever the dtype
    found = [Ramp(width=max_value, threshold=threshold)]
    if slope.any():
        found += [Ramp(slope, -1, threshold, subtracted=True)]
    return ramps(value, found, network, call)


def hard_sigmoid(value: Any, network: Any, call: Any) -> Any:
    """Return min(max(v/6 + 1/2, 0), 1): a window that is 1 wide."""
    return ramps(network.affine(value, 1 / 6, 0.5), [Ramp(width=1.0)], network, call)


def clip(value: Any, low: float, high: float, network: Any, call: Any) -> Any:
    """Return min(max(v, low), high): low and what fires in a window of the width between the two."""
    if not low < high:
        raise Refusal(f"it clips to [{low}, {high}]", "give it bounds that are apart")
    return ramps(value, [Ramp(start=low, width=high - low)], network, call, low)


def soft_shrink(value: Any, threshold: float, network: Any, call: Any) -> Any:
    """Return v - threshold above the threshold, v + threshold below its negative, else 0."""
    found = [Ramp(start=threshold), Ramp(sign=-1, start=-threshold, subtracted=True)]
    return ramps(value, found, network, call)


def hard_shrink(value: Any, threshold: float, network: Any, call: Any) -> Any:
    """Return v where its size is above the threshold, else 0."""
    found = [Ramp(threshold=threshold), Ramp(sign=-1, threshold=threshold, subtracted=True)]
    return ramps(value, found, network, call)


def absolute(value: Any, network: Any, call: Any) -> Any:
    """Return |v|."""
    return ramps(value, [Ramp(), Ramp(sign=-1)], network, call)
