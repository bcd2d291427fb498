import ast
from pathlib import Path

import ttfs_keras

TRAINING = Path(ttfs_keras.__file__).parent / "training"
# Each module may import those before it; the others are used by several of these.
ORDER = ["schedules", "experiments", "problems", "configuration", "recipes", "record", "stopping", "run"]


def imported(path):
    names = [node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[2] for name in names if name.startswith("ttfs_keras.training.")} & set(ORDER)


def test_no_module_of_training_imports_a_later_one():
    for path in TRAINING.rglob("*.py"):
        own = path.relative_to(TRAINING).parts[0].removesuffix(".py")
        later = ORDER[ORDER.index(own) + 1 :] if own in ORDER else []
        assert not imported(path) & set(later), path
