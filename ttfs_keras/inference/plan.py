"""Which layers run event-driven, and what that was decided on."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ttfs_keras.inference.layers import EventDriven
from ttfs_keras.inference.timing import compiled, in_turns

EVENT_DRIVEN, DENSE = "event_driven", "dense"


@dataclass(frozen=True)
class LayerPlan:
    """How one layer runs; what was not measured is None.

    Attributes:
        name: of the layer's call.
        choice: "event_driven" or "dense".
        spikes_per_neuron: share of the neurons that the layer reads that spiked.
        weights_applied: by the layer to one sample, a mean.
        event_driven_ms, dense_ms: median milliseconds of one call with the whole sample.
    """

    name: str
    choice: str
    spikes_per_neuron: float | None = None
    weights_applied: float | None = None
    event_driven_ms: float | None = None
    dense_ms: float | None = None


@dataclass(frozen=True)
class Plan:
    """How the layers of a network run; `str()` is a table.

    Attributes:
        layers: tuple of `LayerPlan`.
    """

    layers: tuple[LayerPlan, ...]

    @property
    def choices(self) -> dict[str, str]:
        """`{name: choice}`."""
        return {layer.name: layer.choice for layer in self.layers}

    def __str__(self):
        def text(value, format_):
            return "-" if value is None else format(value, format_)

        width = max([5, *(len(layer.name) for layer in self.layers)])
        names = f"{'spikes/neuron':>13} {'weights applied':>15} {'event-driven ms':>15} {'dense ms':>9}"
        lines = [f"{'layer':<{width}} {names}  choice"]
        for layer in self.layers:
            lines.append(
                f"{layer.name:<{width}} {text(layer.spikes_per_neuron, '.3f'):>13} "
                f"{text(layer.weights_applied, ',.0f'):>15} {text(layer.event_driven_ms, '.3f'):>15} "
                f"{text(layer.dense_ms, '.3f'):>9}  {layer.choice}"
            )
        return "\n".join(lines)

    def get_config(self) -> list[dict]:
        """Return the layers as plain values."""
        return [asdict(layer) for layer in self.layers]

    @classmethod
    def from_config(cls, config: list[dict]) -> "Plan":
        """Return the plan of `get_config`."""
        return cls(tuple(LayerPlan(**layer) for layer in config))


def fixed(plan: Plan | Mapping[str, str], names: list[str]) -> Plan:
    """Return a given plan, checked; layers that it does not name stay dense.

    Args:
        plan: `Plan` or `{name: choice}`.
        names: of the layers that can run event-driven.

    Raises:
        ValueError: a name is not one of these or a choice is unknown; lists all of them.
    """
    choices = plan.choices if isinstance(plan, Plan) else dict(plan)
    problems = [
        f"{name!r}: expected a layer that can run event-driven. Received: another one, or none of this name"
        for name in choices
        if name not in names
    ]
    problems += [
        f"{name!r}: expected '{EVENT_DRIVEN}' or '{DENSE}'. Received: {choice!r}"
        for name, choice in choices.items()
        if choice not in (EVENT_DRIVEN, DENSE)
    ]
    if problems:
        raise ValueError("plan:\n  " + "\n  ".join(problems) + f"\nLayers that can: {', '.join(names) or 'none'}")
    known = {layer.name: layer for layer in plan.layers} if isinstance(plan, Plan) else {}
    return Plan(tuple(known.get(name, LayerPlan(name, choices.get(name, DENSE))) for name in names))


def measured(name: str, layer: Callable, twin: EventDriven, lead: Any) -> LayerPlan:
    """Return the plan of a layer, timed on what it reads.

    Args:
        name: of its call.
        layer: the dense one.
        twin: its event-driven twin.
        lead: lead times `(samples, ...)`.
    """
    event_driven, dense = np.median(in_turns([compiled(found, lead) for found in (twin, layer)]), axis=1)
    return LayerPlan(
        name,
        EVENT_DRIVEN if event_driven < dense else DENSE,
        spikes_per_neuron=float(np.mean(np.asarray(lead) != 0)),
        weights_applied=float(twin.applied(lead)) / max(lead.shape[0], 1),
        event_driven_ms=float(event_driven),
        dense_ms=float(dense),
    )
