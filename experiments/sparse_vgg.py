"""Fewer spikes in the CIFAR VGG, and what they save: `python -m experiments.sparse_vgg --load=ReLU.keras`.

Trains a ReLU network with the penalty of spikes, on images that are shifted and mirrored at random, maps it, and times
it event-driven beside its source.
"""

import json
from pathlib import Path

import keras
import tensorflow as tf
from absl import app, flags

import ttfs_keras as tk
from ttfs_keras.data import load
from ttfs_keras.files.atomic import write_json
from ttfs_keras.files.models import save_model
from ttfs_keras.inference.comparison import comparison
from ttfs_keras.ttfs.sparsity import unpenalized

FLAGS = flags.FLAGS
flags.DEFINE_string("load", None, "`.keras` model to train on", required=True)
flags.DEFINE_string("data_dir", None, "folder of CIFAR's binary batches", required=True)
flags.DEFINE_string("out", "logs/sparse_vgg", "folder for the networks and `card.json`")
flags.DEFINE_integer("steps", 750, "training steps of 32 images")
flags.DEFINE_float("target", 0.28, "spikes per neuron at and below which there is no penalty")
flags.DEFINE_float("strength", 60.0, "of the penalty")
flags.DEFINE_float("lr", 1e-4, "first learning rate, which falls to 0 along a cosine")

SHIFT = 4  # pixels


def augmented(images, labels):
    """Return an endless data set of batches, shifted by up to `SHIFT` pixels and mirrored at random."""

    def change(image, label):
        padded = tf.pad(tf.image.random_flip_left_right(image), [[SHIFT, SHIFT], [SHIFT, SHIFT], [0, 0]])
        return tf.image.random_crop(padded, image.shape), label

    data = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(images), seed=0).map(change)
    return data.repeat().batch(32).prefetch(4)


def train(model, data):
    """Train a ReLU network with the penalty."""
    network = tk.ttfs.sparsify(model, FLAGS.target, FLAGS.strength)
    rate = keras.optimizers.schedules.CosineDecay(FLAGS.lr, FLAGS.steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    network.fit(augmented(data.x_train, data.y_train), steps_per_epoch=FLAGS.steps, verbose=2)


def main(_):
    """Train, map, measure."""
    keras.utils.set_random_seed(0)
    data = load("CIFAR10", FLAGS.data_dir)
    model = unpenalized(keras.saving.load_model(FLAGS.load))
    if FLAGS.steps:
        train(model, data)
    snn = tk.convert(model, data.x_train[:512], data.input_range)
    card = tk.metric_card(snn, data.x_test, data.y_test, source=model)
    card["event_driven"] = comparison(snn, model, data.x_test[:1])
    folder = Path(FLAGS.out)
    save_model(model, folder / "ReLU.keras")
    save_model(snn, folder / "SNN.keras")
    write_json(folder / "card.json", card)
    shown = ("accuracy", "agreement", "spikes_per_neuron")
    print(json.dumps({name: card[name] for name in shown} | {"times_faster": card["event_driven"]["times_faster"]}))


if __name__ == "__main__":
    app.run(main)
