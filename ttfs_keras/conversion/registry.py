"""Which rule maps which type of source operation."""

from collections.abc import Callable

_RULES: dict[type, Callable] = {}


def register_converter(*types):
    """Register a rule for source operations of exactly these types.

    The rule is called as `rule(call, values, network)`: with the `Call` being mapped, whose `operation`, `name` and
    `shape` are those of the source; the list of mapped inputs (`Emitted`, `Deferred` or `Digital`); and the `Network`
    under construction. It returns the mapped output, or raises `Refusal(reason, remedy)`.
    """

    def register(rule):
        for kind in types:
            _RULES[kind] = rule
        return rule

    return register


def rule_of(operation):
    """Return the rule for an operation or None. Subclasses may compute anything, so types must match exactly."""
    return _RULES.get(type(operation))


class Refusal(Exception):
    """A rule's word that it cannot map an operation exactly.

    Args:
        reason: what stands in the way.
        remedy: what the user can do about it.
    """

    def __init__(self, reason, remedy):
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
