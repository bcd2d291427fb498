"""Settings that a kind of network cannot work with; ranges that hold for all kinds are in `Configuration`.

Each function takes a `Configuration` and returns a list of texts, one a problem.
"""

from collections.abc import Callable
from typing import Any

from ttfs_keras import stbp
from ttfs_keras.models.names import has_name


def relu_problems(configuration: Any) -> list[str]:
    """Return a folder where a file is needed, a custom network without its file, and a penalty that has no effect."""
    path, problems = configuration.load_path, []
    target = configuration.target_spikes
    if target is not None and target > 1:
        problems.append(f"target_spikes: expected 0 to 1, a neuron spikes at most once. Received: {target}")
    if target is not None and configuration.sparsity == 0:
        problems.append("sparsity: expected a strength above 0 with target_spikes. Received: 0")
    if (target is not None or configuration.sparsity) and configuration.epochs == 0:
        problems.append("epochs: expected at least 1 with sparsity, which acts on training. Received: 0")
    if path is not None and path.is_dir():
        problems.append(f"load: expected a file. Received: {configuration.load!r}, a folder")
    if has_name(configuration.model_name, "custom") and (path is None or path.suffix != ".keras"):
        problems.append(f"load: expected the .keras file of the custom model. Received: {configuration.load!r}")
    return problems


def bats_problems(configuration: Any) -> list[str]:
    """Return a file of another kind."""
    path = configuration.load_path
    if path is not None and path.is_file() and not path.name.endswith((".keras", ".weights.h5")):
        return [f"load: expected a .keras or .weights.h5 file, or a folder. Received: {configuration.load!r}"]
    return []


def stbp_problems(configuration: Any) -> list[str]:
    """Return settings of neurons outside their range, and a measurement without training."""
    c, problems = configuration, []
    try:
        stbp.Settings(**c.neuron_settings)
    except ValueError as error:
        problems += str(error).splitlines()
    if not 0 <= c.validation < 1:
        problems.append(f"validation: expected a share from 0 to below 1. Received: {c.validation}")
    try:
        _ = c.drop_epochs
    except ValueError:
        problems.append(f"lr_drops: expected epochs, such as 10 or 8,10. Received: {c.lr_drops!r}")
    if c.epochs == 0 and c.load_path is None:
        problems.append(
            "epochs: expected at least 1 for a new network, whose batch norms have no statistics. Received: 0"
        )
    if c.load_path is not None and c.load_path.suffix != ".keras":
        problems.append(f"load: expected a .keras file of an STBP network or its ReLU twin. Received: {c.load!r}")
    return problems


PROBLEMS: dict[str, Callable[[Any], list[str]]] = {
    "SNN": relu_problems, "ReLU": relu_problems, "BATS": bats_problems, "STBP": stbp_problems,
}  # fmt: skip
