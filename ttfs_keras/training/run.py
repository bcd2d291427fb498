"""One run: data, model, measurement, training, measurement, artefacts."""

import contextlib
import logging
import time

import keras

from ttfs_keras import plots
from ttfs_keras.conversion.verify import verify
from ttfs_keras.data import batches, load, outside_range, steps
from ttfs_keras.files import replacing, write_json
from ttfs_keras.metrics.card import MetricCard, metric_card
from ttfs_keras.models.families import optimizer
from ttfs_keras.training.folder import RunFolder
from ttfs_keras.training.record import EpochRecord, resume
from ttfs_keras.training.sources import initial_model
from ttfs_keras.ttfs.schedule import schedule, spike_times
from ttfs_keras.ttfs.spiking import is_spiking

logger = logging.getLogger("ttfs_keras")

CERTIFIED = 256  # images on which a mapped network is compared with its source layer by layer
PLOTTED = 100  # images in the histograms of spike times


def run(configuration, flags=""):
    """Train or map a network as configured and write the run folder.

    Args:
        configuration: `Configuration`.
        flags: text that replays the run with `--flagfile`, kept in the run folder.

    Returns:
        `MetricCard` on the test images after training; without `testing`, on the training images.

    Raises:
        ConfigurationError, DataError, WeightsError, ConversionError: before any training, with all that is wrong.
    """
    c = configuration
    start = time.perf_counter()
    c.validate()
    data = load(c.data_name, c.data_dir, c.train_samples, c.test_samples, c.dtype)
    folder = RunFolder(c.folder)
    keras.utils.set_random_seed(c.seed)
    model, source = initial_model(c, data)
    folder.start(flags, c.resume)
    with _logged(folder / "run.log"):
        return _run(c, data, folder, model, source, start)


@contextlib.contextmanager
def _logged(path):
    """Append what is logged to a file; leave the logger as it was."""
    handler, level = logging.FileHandler(path, encoding="utf-8"), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()


def _run(c, data, folder, model, source, start):
    logger.info("%s: %d training and %d test images, %s", data.name, len(data.x_train), len(data.x_test), data.source)
    outside = outside_range(data.x_train, data.input_range) + outside_range(data.x_test, data.input_range)
    if outside:
        logger.warning("%d pixels outside the input range %s will be clipped", outside, data.input_range)

    def measure(model):
        x, y = (data.x_test, data.y_test) if c.testing else (data.x_train, data.y_train)
        return metric_card(model, x, y, source, c.seed)

    before = measure(model)
    if source is not None:
        certify(folder, model, source, data.x_test[:CERTIFIED])
    model, rows = _train(c, data, folder, model)
    if c.save:
        with replacing(folder / f"{c.model_type}.keras") as path:
            model.save(path)
    card = measure(model) if c.epochs else MetricCard(before)
    pictures = _plot(folder, model, data, rows, card)

    card["accuracy_before"] = before["accuracy"]
    card["agreement_before"] = before["agreement"]
    card["max_abs_error_before"] = before["max_abs_error"]
    card["run_seconds"] = time.perf_counter() - start
    write_json(folder / "card.json", card)
    _report(c, folder, before, card, source, pictures)
    return card


def certify(folder, model, source, x):
    """Write `certificate.json` and its plot: the mapped network against its source before any training."""
    report = verify(model, source, x)
    report.to_json(folder / "certificate.json")
    report.plot(folder / "plots" / "layer_errors.png")
    logger.info("%s", report)


def _train(c, data, folder, model):
    """Train, from the folder's state if asked to, and return the model and the rows of all epochs."""
    model.compile(
        optimizer(c.model_name, c.lr),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)  # else a model saved without training loads with a warning
    per_epoch, rows = steps(len(data.x_train), c.batch_size), []
    if c.resume and (state := resume(folder, per_epoch)):
        model, rows = state
        logger.info("resumed after epoch %d", len(rows))
    record = EpochRecord(folder, rows)
    if len(rows) < c.epochs:
        model.fit(
            batches(data.x_train, data.y_train, c.batch_size, c.seed, len(rows), c.epochs),
            initial_epoch=len(rows),
            epochs=c.epochs,
            steps_per_epoch=per_epoch,
            shuffle=False,
            callbacks=[record],
        )
    return model, record.rows


def _plot(folder, model, data, rows, card):
    pictures = []
    if rows:
        metrics = {name: [row[name] for row in rows] for name in rows[0]}
        pictures.append(plots.training_curves(metrics, folder / "plots" / "training_curves.png"))
    if is_spiking(model):
        windows = {name: (float(w.start), float(w.end)) for name, w in schedule(model).items()}
        write_json(folder / "windows.json", windows)
        times = spike_times(model, data.x_test[:PLOTTED])
        pictures.append(plots.spike_time_histogram(times, windows, folder / "plots" / "spike_times.png"))
        one = {name: t[0] for name, t in times.items()}
        pictures.append(plots.spike_raster(one, windows, folder / "plots" / "raster.png"))
        rates = {name: row["spikes_per_neuron"] for name, row in card["layers"].items()}
        pictures.append(
            plots.spikes_per_neuron(rates, folder / "plots" / "spikes_per_neuron.png", card["spikes_per_neuron"])
        )
    return pictures


def _report(c, folder, before, card, source, pictures):
    images = "test" if c.testing else "training"
    logger.info("%s", card)
    logger.info("%s accuracy before training %.2f %%", images, 100 * before["accuracy"])
    logger.info("%s accuracy after training  %.2f %%", images, 100 * card["accuracy"])
    if source is not None:
        logger.info("agreement with the ReLU model before training %.4f", before["agreement"])
        logger.info("largest error of a logit before training %.3g", before["max_abs_error"])
    logger.info("wall time %.1f s", card["run_seconds"])
    logger.info("run folder %s, plots: %s", folder.path, ", ".join(p.name for p in pictures) or "none")
