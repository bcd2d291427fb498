"""Networks with branches on real data: ReLU, mapped, and fine-tuned for a quarter of the latency.

python -m experiments.graphs --data_name=FMNIST --epochs=3
"""

import sys
import time

import keras
from absl import app, flags

import ttfs_keras as tk
from ttfs_keras.data import batches, load, names, steps
from ttfs_keras.models.small import small_mobilenet, small_resnet

BATCH = 64
QUANTILES = (0.999, 0.99, 0.97, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)

flags.DEFINE_enum("data_name", "DIGITS", names(), "data set")
flags.DEFINE_string("data_dir", None, "folder with the data set's files")
flags.DEFINE_integer("epochs", 3, "passes over the training data for the ReLU network; one more for fine-tuning")
flags.DEFINE_integer("seed", 0, "of initial weights and order of images")


def fit(model, data, epochs, rate, seed):
    """Train a model with Adam, cosine decay of the rate."""
    total = epochs * steps(len(data.x_train), BATCH)
    schedule = keras.optimizers.schedules.CosineDecay(rate, total)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss, metrics=["accuracy"])
    images = batches(data.x_train, data.y_train, BATCH, seed, 0, epochs)
    model.fit(images, epochs=epochs, steps_per_epoch=total // epochs, shuffle=False, verbose=0)


def quarter(model, calibration, latency):
    """Return (quantile, network): the highest quantile whose windows together take at most a quarter of the latency."""
    for quantile in QUANTILES:
        snn = tk.convert(model, calibration, margin=0.0, quantile=quantile)
        if tk.summary(snn).latency <= latency / 4:
            break
    return quantile, snn


def experiment(build, data, epochs, seed):
    """Print one row of the table."""
    keras.utils.set_random_seed(seed)
    start = time.perf_counter()
    relu = build(data.image_shape, data.classes)
    fit(relu, data, epochs, 2e-3, seed)
    calibration = data.x_train[:1000]
    test = (data.x_test, data.y_test)
    source = tk.metric_card(relu, *test)
    snn = tk.convert(relu, calibration)
    mapped = tk.metric_card(snn, *test, source=relu)
    report = tk.verify(snn, relu, data.x_test[:500])
    quantile, short = quarter(relu, calibration, mapped["latency"])
    before = tk.metric_card(short, *test, source=relu)
    fit(short, data, 1, 2e-4, seed)
    after = tk.metric_card(short, *test, source=relu)
    accuracy = [f"{100 * card['accuracy']:.2f} %" for card in (source, mapped, before, after)]
    print(
        f"| {relu.name} | {accuracy[0]} | {accuracy[1]} | {mapped['agreement']:.4f} | {mapped['max_abs_error']:.2g} "
        f"| {report.premature_spikes}, {report.saturated_spikes} | {mapped['spikes_per_neuron']:.3f} "
        f"| {mapped['latency']:.1f} | {quantile} | {accuracy[2]} | {accuracy[3]} | {after['latency']:.1f} "
        f"| {time.perf_counter() - start:.0f} s |",
        flush=True,
    )


def main(arguments):
    """Print the table."""
    if arguments[1:]:
        sys.exit(f"Expected flags only. Received: {' '.join(arguments[1:])}")
    data = load(flags.FLAGS.data_name, flags.FLAGS.data_dir)
    print(
        "| network | ReLU | mapped | agreement | max error | premature, saturated of 500 | spikes per neuron | latency "
        "| quantile | short, before | fine-tuned | its latency | all |\n|" + "---|" * 13
    )
    for build in (small_resnet, small_mobilenet):
        experiment(build, data, flags.FLAGS.epochs, flags.FLAGS.seed)


if __name__ == "__main__":
    app.run(main)
