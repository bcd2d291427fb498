"""ResNet-19 for as many steps as two cores allow: `python -m benchmarks.resnet19 [--data_dir=...]`."""

import resource
import statistics
import time

import keras
import tensorflow as tf
from absl import app, flags

from benchmarks.pairs import machine
from ttfs_keras import stbp
from ttfs_keras.data import batches, load

BATCH = 64


def main(_):
    """Train both presets, each for some steps, and print loss, milliseconds a step, memory and a projection."""
    data = load("MNIST", flags.FLAGS.data_dir)
    print(f"{machine()}, TensorFlow {tf.__version__}, Keras {keras.__version__}, float32, batch {BATCH}")
    keras.utils.set_random_seed(flags.FLAGS.seed)
    model = stbp.resnet19(data.image_shape, data.classes, preset=flags.FLAGS.preset)
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses, seconds = [], []
    for x, y in batches(data.x_train, data.y_train, BATCH, flags.FLAGS.seed, 0, 1).take(flags.FLAGS.steps):
        start = time.perf_counter()
        model.reset_metrics()
        losses.append(float(model.train_on_batch(x, y)))
        seconds.append(time.perf_counter() - start)
    step = statistics.median(seconds[1:])  # the first one traces
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"preset {flags.FLAGS.preset}, {model.count_params()} parameters")
    print(f"loss of steps 1-5 {statistics.mean(losses[:5]):.3f}, of the last five {statistics.mean(losses[-5:]):.3f}")
    epoch = step * len(data.x_train) / BATCH / 3600
    print(
        f"{1000 * step:.0f} ms a step, {memory:.1f} GiB at most, {epoch:.1f} h an epoch of {len(data.x_train)} images"
    )


if __name__ == "__main__":
    flags.DEFINE_string("data_dir", None, "folder with MNIST")
    flags.DEFINE_enum("preset", "default", ("default", "seed"), "settings of the network")
    flags.DEFINE_integer("steps", 25, "training steps, at least 2", lower_bound=2)
    flags.DEFINE_integer("seed", 0, "of initial weights and order of images")
    app.run(main)
