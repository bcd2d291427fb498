"""What is written at the end of each epoch: metrics, windows, best weights and the state to resume from."""

import csv
import io
import json
import time
from collections.abc import Iterable
from pathlib import Path

import keras

from ttfs_keras.errors import WeightsError
from ttfs_keras.files.atomic import write_json, write_text
from ttfs_keras.files.models import save_model, save_weights
from ttfs_keras.training.folder import RunFolder
from ttfs_keras.training.recipes.recipe import Recipe


class EpochRecord(keras.callbacks.Callback):
    """Write `metrics.csv`, `best.weights.h5` and, last, the state of training.

    The state is `state.keras`, weights and optimizer, with the rows of all epochs so far in `state.json`. Rows are
    written first: the model's own step count says how many of them a state has seen, whatever moment a crash chose.

    Args:
        folder: the `RunFolder`.
        recipe: the `Recipe`, which says what to add to a row and which epoch is the best.
        rows: of the epochs before, from `resume`.
    """

    def __init__(self, folder: RunFolder, recipe: Recipe, rows: Iterable[dict[str, float]] = ()):
        super().__init__()
        self.folder, self.recipe = folder, recipe
        self.rows = list(rows)

    def best(self) -> int:
        """Return the index of the best row, the latest of several."""
        values = [row[self.recipe.best] for row in self.rows]
        best = max(values) if self.recipe.best.endswith("accuracy") else min(values)
        return len(values) - 1 - values[::-1].index(best)

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()
        # At the end of the epoch a schedule may have moved on.
        self.learning_rate = float(self.model.optimizer.learning_rate)

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch + 1} | {name: float(value) for name, value in (logs or {}).items()}
        row["learning_rate"] = self.learning_rate
        row["seconds"] = time.perf_counter() - self.started
        row |= self.recipe.columns()
        self.rows.append(row)
        write_metrics(self.folder / "metrics.csv", self.rows)
        if self.best() == len(self.rows) - 1:
            self.recipe.keep_best(self.folder)
            save_weights(self.model, self.folder / "best.weights.h5")
        write_json(self.folder / "state.json", self.rows)
        save_model(self.model, self.folder / "state.keras")
        self.folder.epochs = len(self.rows)


def write_metrics(path: Path, rows: list[dict[str, float]]) -> None:
    """Write rows, dicts with the same keys, as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def resume(folder: RunFolder, steps_per_epoch: int) -> tuple[keras.Model, list[dict[str, float]]] | None:
    """Return (model, rows) of the state in a run folder, or None where no epoch was finished.

    Raises:
        WeightsError: the state cannot be read.
    """
    if not all((folder / name).exists() for name in ("state.keras", "state.json")):
        return None
    try:
        model = keras.saving.load_model(folder / "state.keras")
        rows = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"resume: expected a readable state in {folder.path}. Received: {error}") from error
    return model, rows[: int(model.optimizer.iterations) // steps_per_epoch]
