"""A folder imports only folders below it, one file knows Keras's private graph, and an import loads no Matplotlib."""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1] / "ttfs_keras"

# From the lowest to the highest; parts of one line do not import each other.
LEVELS = [
    ["version", "errors", "constraints", "arguments"],
    ["files", "ops"],
    ["network"],
    ["data", "plots"],
    ["ttfs", "bats", "stbp"],
    ["conversion", "inference", "metrics", "models"],
    ["training"],
    ["command_line"],
    ["__main__"],
]
LEVEL = {part: number for number, parts in enumerate(LEVELS) for part in parts}
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def part_of(module):
    """Return the folder, or the file of the root, of a module such as "ttfs_keras.bats.dense"; None for others."""
    names = module.split(".")
    return names[1] if names[0] == "ttfs_keras" and len(names) > 1 else None


def imports(path):
    """Yield the parts of the package that a file imports, inside of functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (part_of(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "ttfs_keras":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield part_of(node.module)


def test_every_part_has_a_level():
    parts = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in FILES}
    assert parts - LEVEL.keys() == set()


def test_no_arrow_points_upwards():
    wrong = []
    for path in FILES:
        own = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for other in set(imports(path)) - {None, own}:
            if LEVEL.get(other, len(LEVELS)) >= LEVEL[own]:
                wrong.append(f"{path.relative_to(ROOT)} imports {other}")
    assert wrong == []


def test_two_files_know_private_parts_of_keras():
    private = re.compile(r"keras\.src|\._inbound_nodes|_nodes_by_depth|_inputs_struct|\._node\b|_keras_history")
    found = [str(path.relative_to(ROOT)) for path in FILES if private.search(path.read_text(encoding="utf-8"))]
    assert sorted(found) == ["network/graph.py", "network/raw.py"]


def test_an_import_loads_nothing_that_only_some_runs_need():
    """Keras itself imports Matplotlib where it is installed; the package adds none of it."""
    code = "import sys, keras; before = set(sys.modules); import ttfs_keras; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    slow = ("matplotlib", "tensorflow_datasets", "ttfs_keras.plots", "ttfs_keras.training", "ttfs_keras.data")
    assert "ttfs_keras.conversion" in loaded and [name for name in loaded if name.startswith(slow)] == []
