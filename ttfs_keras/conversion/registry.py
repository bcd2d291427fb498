"""Which rule maps which type of source operation."""

from collections.abc import Callable
from typing import Any

_RULES: dict[type, Callable] = {}


def register_converter(*types: type) -> Callable:
    """Register a rule for source operations of exactly these types.

    The rule is called as `rule(call, values, network)`: with the `Call` being mapped, whose `operation`, `name` and
    `shape` are those of the source; the list of mapped inputs (`Emitted` or `Deferred`); and the `Network` under
    construction. It returns the mapped output, a list of several, or raises `Refusal(reason, remedy)`.

    Example:
        >>> class Double(keras.layers.Layer):
        ...     def call(self, x):
        ...         return 2 * x
        >>> @tk.register_converter(Double)
        ... def map_double(call, values, network):
        ...     return dataclasses.replace(values[0], scale=2 * values[0].scale, offset=2 * values[0].offset)
        >>> relu = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), Double(), keras.layers.Dense(3)])
        >>> x = np.random.default_rng(0).uniform(size=(20, 4))
        >>> tk.verify(tk.convert(relu, x), relu, x).passed
        True
    """

    def register(rule: Callable) -> Callable:
        for kind in types:
            _RULES[kind] = rule
        return rule

    return register


def rule_of(operation: Any) -> Callable | None:
    """Return the rule for an operation or None. Subclasses may compute anything, so types must match exactly."""
    return _RULES.get(type(operation))


class Refusal(Exception):
    """Raised by a rule that cannot map an operation exactly.

    Args:
        reason: what stands in the way.
        remedy: what the user can do about it.
    """

    def __init__(self, reason: str, remedy: str):
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy

    def line(self, call: Any) -> str:
        """Return what an error says of a call that is refused for this."""
        return f"{call.name} ({type(call.operation).__name__}): {self.reason}; remedy: {self.remedy}"


NO_RULE = Refusal(
    "no exact TTFS counterpart is known, and it does not end the model", "use ReLU layers or register a converter"
)
