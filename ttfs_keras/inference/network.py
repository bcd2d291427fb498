"""From a TTFS network to a model for inference, some of whose layers are event-driven."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.inference.plan import EVENT_DRIVEN, Plan, fixed, measured
from ttfs_keras.inference.twins import has_twin, twin
from ttfs_keras.network.graph import Graph
from ttfs_keras.network.inputs import Inputs
from ttfs_keras.ops.event_driven import required_library


@keras.saving.register_keras_serializable(package="ttfs_keras")
class EventDrivenModel(keras.Model):
    """Functional model that remembers its plan, saved with it.

    Attributes:
        plan: `Plan`.
    """

    plan: Plan

    def get_config(self):
        return {**super().get_config(), "plan": self.plan.get_config()}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Return the model of a configuration."""
        config = dict(config)
        plan = Plan.from_config(config.pop("plan"))
        model = super().from_config(config, custom_objects)
        model.plan = plan
        return model


def event_driven(snn: keras.Model, x: Any, plan: Plan | Mapping[str, str] | None = None) -> keras.Model:
    """Return a model for inference that reads only the weights of neurons that spiked.

    It has the inputs and outputs of the TTFS network, and weights of its own. Each layer with weights runs
    event-driven or dense, whichever is faster on x, the whole of it as one batch: measured in turns, medians. All other
    layers stay as they are. Perturbations of weights are applied once, when the model is made.

    Args:
        snn: TTFS network, Functional or Sequential.
        x: inputs such as the model will get, and as many at a time, see `ttfs_keras.network.inputs.Inputs`; of a data
            set the first batch. Not used with a plan.
        plan: None to measure; or the `.plan` of another such model or `{layer: "event_driven" | "dense"}`, where
            layers that are not named stay dense. The same plan gives the same model.

    Returns:
        `keras.Model` with `.plan`; `str(model.plan)` is a table. It saves and loads as `.keras`.

    Raises:
        OpLibraryError: the compiled op library is missing or cannot be used.
        ValueError: x does not fit the model, the plan names unknown layers or choices, or weights are not finite;
            lists all of them.

    Example:
        >>> snn = keras.Sequential([keras.Input((8,)), tk.TTFSEncoder(), tk.TTFSDense(4), tk.TTFSReadout(2)])
        >>> x = np.random.default_rng(0).uniform(size=(1, 8))
        >>> model = tk.event_driven(snn, x, plan={snn.layers[1].name: "event_driven"})
        >>> bool(np.allclose(model(x), snn(x), atol=1e-6)), [layer.choice for layer in model.plan.layers]
        (True, ['event_driven', 'dense'])
    """
    required_library()
    graph = Graph(snn)
    used = [id(call.operation) for call in graph.calls]
    calls = {call.name: call for call in graph.calls if has_twin(call) and used.count(id(call.operation)) == 1}
    if plan is not None:
        plan = fixed(plan, list(calls))
    else:
        batch = next(iter(Inputs(snn, x, np.iinfo(np.int64).max)))
    twins, problems = {}, []
    for name, call in calls.items():
        if plan is None or plan.choices[name] == EVENT_DRIVEN:
            try:
                twins[name] = twin(call)
            except ValueError as error:
                problems.append(str(error))
    if problems:
        raise ValueError("event_driven:\n  " + "\n  ".join(problems))
    if plan is None:
        leads = graph.compiled([call.inputs[0] for call in calls.values()])(*batch) if calls else []
        rows = []
        for (name, call), lead in zip(calls.items(), leads, strict=True):
            rows.append(measured(name, call.operation, twins[name], tf.convert_to_tensor(lead)))
        plan = Plan(tuple(rows))
    chosen = {name: twins[name] for name, choice in plan.choices.items() if choice == EVENT_DRIVEN}
    model = graph.rebuilt(chosen, EventDrivenModel)
    model.plan = plan
    return model
