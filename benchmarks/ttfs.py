"""TTFS networks against the same ReLU networks in plain Keras; `make bench`."""

import keras
import numpy as np
import tensorflow as tf

import ttfs_keras as tk
from benchmarks.pairs import compare, machine
from ttfs_keras.models import relu_model
from ttfs_keras.models.small import small_mobilenet, small_resnet
from ttfs_keras.training.experiments import experiment

# model, image shape, batch size, rounds
CASES = [
    ("FC2", (28, 28, 1), 128, 300),
    ("VGG", (32, 32, 3), 32, 15),
    ("VGG_BN", (32, 32, 3), 32, 15),
    ("custom small_resnet", (32, 32, 3), 32, 30),
    ("custom small_mobilenet", (32, 32, 3), 32, 30),
]
CUSTOM = {"custom small_resnet": small_resnet, "custom small_mobilenet": small_mobilenet}


def measured_steps(name, shape, batch):
    """Return {step: (TTFS function, ReLU function)} of one network on one batch."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = tf.constant(rng.uniform(size=(batch, *shape)).astype("float32"))
    y = tf.constant(rng.integers(0, 10, batch))
    relu = CUSTOM[name](shape, 10) if name in CUSTOM else relu_model(name, shape, 10)
    spiking = tk.convert(relu, x)
    trained = experiment("ReLU", "custom" if name in CUSTOM else name, "CIFAR10")
    for model in (relu, spiking):
        # A rate this small keeps the random task from diverging; the work of a step is the same.
        model.compile(trained.optimizer(trained.schedule(1e-6, 1)), trained.loss("float32"), metrics=["accuracy"])
    return {
        "training": (lambda: spiking.train_on_batch(x, y), lambda: relu.train_on_batch(x, y)),
        "inference": (lambda: spiking.predict_on_batch(x), lambda: relu.predict_on_batch(x)),
    }


def main():
    """Print the table."""
    print(f"{machine()}, TensorFlow {tf.__version__}, Keras {keras.__version__}, float32\n")
    print("| network | batch | step | TTFS ms | ReLU ms | ratio (median of pairs) |\n|---|---|---|---|---|---|")
    for name, shape, batch, rounds in CASES:
        steps = measured_steps(name, shape, batch)
        for step, (first, second) in steps.items():
            a, b, ratio = compare(first, second, rounds)
            print(f"| {name} | {batch} | {step} | {1000 * a:.2f} | {1000 * b:.2f} | {ratio:.3f} |", flush=True)


if __name__ == "__main__":
    main()
