"""One run: data, model, measurement, training, measurement, artefacts."""

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import keras

from ttfs_keras.data import Dataset, load, outside_range
from ttfs_keras.files.atomic import write_json
from ttfs_keras.files.models import save_model
from ttfs_keras.metrics.card import MetricCard, metric_card
from ttfs_keras.training.configuration import Configuration
from ttfs_keras.training.folder import RunFolder
from ttfs_keras.training.recipes import RECIPES, Recipe
from ttfs_keras.training.record import EpochRecord, resume
from ttfs_keras.training.stopping import StopEarly
from ttfs_keras.ttfs.sparsity import unpenalized

logger = logging.getLogger("ttfs_keras")


def run(configuration: Configuration, flags: str = "") -> MetricCard:
    """Train or map a network as configured and write the run folder.

    Args:
        configuration: `Configuration`.
        flags: text that replays the run with `--flagfile`, kept in the run folder.

    Returns:
        `MetricCard` on the test images after training; without `testing`, on the training images.

    Raises:
        ConfigurationError, DataError, WeightsError, ConversionError: before any training, with all that is wrong.
        OSError: a file, which it names, cannot be written; the files before it are whole.
        KeyboardInterrupt: at an interruption, and says after which epoch.
    """
    start = time.perf_counter()
    configuration.validate()
    c = configuration.resolved()
    data = load(c.data_name, c.data_dir, c.train_samples, c.test_samples, c.dtype)
    folder = RunFolder(c.folder)
    keras.utils.set_random_seed(c.seed)
    with folder.locked():
        recipe = RECIPES[c.model_type](c, data)
        folder.start(flags, c.resume)
        with _logged(folder / "run.log"):
            try:
                return _run(c, data, folder, recipe, start)
            except KeyboardInterrupt as stop:
                raise KeyboardInterrupt(f"Interrupted {folder.progress()}") from stop


class _LogFile(logging.FileHandler):
    """A log that cannot be written ends the run, as any other file does."""

    def handleError(self, record):
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            return super().handleError(record)
        raise OSError(error.errno, error.strerror, self.baseFilename) from None


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Append what is logged to a file; leave the logger as it was."""
    handler, level = _LogFile(path, encoding="utf-8"), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()


def _run(c: Configuration, data: Dataset, folder: RunFolder, recipe: Recipe, start: float) -> MetricCard:
    logger.info("%s: %d training and %d test images, %s", data.name, len(data.x_train), len(data.x_test), data.source)
    outside = outside_range(data.x_train, data.input_range) + outside_range(data.x_test, data.input_range)
    if outside:
        logger.warning("%d pixels outside the input range %s will be clipped", outside, data.input_range)

    def measure() -> MetricCard:
        x, y = (data.x_test, data.y_test) if c.testing else (data.x_train, data.y_train)
        return metric_card(recipe.model, x, y, recipe.source, c.seed, recipe.card_batch, recipe.accuracy)

    before = measure() if recipe.ready else {}
    recipe.before_training(folder)
    rows = _train(c, folder, recipe)
    recipe.after_training(folder, rows)
    if c.save:
        save_model(unpenalized(recipe.model), folder / f"{c.model_type}.keras")
    card = measure() if recipe.epochs else MetricCard(before)
    pictures = recipe.plot(folder, card, rows)

    for name in ("accuracy", "agreement", "max_abs_error"):
        card[f"{name}_before"] = before.get(name)
    card |= {"sparsity": c.sparsity, "target_spikes": c.target_spikes}
    card["run_seconds"] = time.perf_counter() - start
    write_json(folder / "card.json", card)
    _report(c, folder, before, card, recipe.source, pictures)
    return card


def _train(c: Configuration, folder: RunFolder, recipe: Recipe) -> list[dict[str, float]]:
    """Train, from the folder's state if asked to, and return the rows of all epochs."""
    model = recipe.model
    model.compile(recipe.optimizer(), recipe.loss(), metrics=recipe.metrics())
    model.optimizer.build(model.trainable_variables)  # else a model saved without training loads with a warning
    rows: list[dict[str, float]] = []
    if c.resume and (state := resume(folder, recipe.steps_per_epoch)):
        recipe.model, rows = state
        folder.epochs = len(rows)
        logger.info("resumed after epoch %d", len(rows))
    record = EpochRecord(folder, recipe, rows)
    if len(rows) < recipe.epochs:
        x, y, batch_size = recipe.validation() or (None, None, None)
        recipe.model.fit(
            recipe.batches(len(rows)),
            initial_epoch=len(rows),
            epochs=recipe.epochs,
            steps_per_epoch=recipe.steps_per_epoch,
            shuffle=False,
            validation_data=None if x is None else (x, y),
            validation_batch_size=batch_size,
            callbacks=[*recipe.callbacks(folder), record, *_optional(c, folder, record)],
        )
    if c.patience and record.rows:
        recipe.model.load_weights(folder / "best.weights.h5")
    return record.rows


def _optional(c: Configuration, folder: RunFolder, record: EpochRecord) -> list[keras.callbacks.Callback]:
    """Return the callbacks that flags ask for."""
    stop = [StopEarly(record, c.patience)] if c.patience else []
    return [*stop, keras.callbacks.TensorBoard(folder / "tensorboard")] if c.tensorboard else stop


def _report(c, folder, before, card, source, pictures):
    images = "test" if c.testing else "training"
    logger.info("%s", card)
    if before:
        logger.info("%s accuracy before training %.2f %%", images, 100 * before["accuracy"])
    logger.info("%s accuracy after training  %.2f %%", images, 100 * card["accuracy"])
    if source is not None:
        logger.info("agreement with the ReLU model before training %.4f", before["agreement"])
        logger.info("largest error of a logit before training %.3g", before["max_abs_error"])
    logger.info("wall time %.1f s", card["run_seconds"])
    logger.info("run folder %s, plots: %s", folder.path, ", ".join(p.name for p in pictures) or "none")
