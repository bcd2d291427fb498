"""A residual network of two blocks and real digits to try it on."""

import keras
import numpy as np
from keras import layers

from ttfs_keras import stbp
from ttfs_keras.data import load
from ttfs_keras.network.graph import layers_of
from ttfs_keras.stbp.residual import convolution


def digits(samples):
    """Return the first images and labels of the embedded digits."""
    data = load("DIGITS", train_samples=samples)
    return data.x_train, data.y_train


def small_network(**changes):
    """Return a network with an identity shortcut, a convolved one, a hidden layer and a read-out."""
    settings = stbp.Settings(**changes)
    sequence = () if settings.encoder else (settings.time_steps,)
    inputs = keras.Input((*sequence, 28, 28, 1), dtype=settings.dtype, name="image")
    x = convolution(settings.encode(inputs), 8, 3, 2, "stem_conv", settings.dtype)
    x = settings.neurons("stem_lif")(settings.all_steps(settings.norm("stem_norm")(x)))
    x = stbp.residual_block(x, 8, 1, "block1", settings)
    x = stbp.residual_block(x, 12, 2, "block2", settings)
    x = stbp.TimeFolded(layers.GlobalAveragePooling2D(dtype=settings.dtype), name="pool", dtype=settings.dtype)(x)
    x = layers.Dense(16, use_bias=False, name="hidden_dense", dtype=settings.dtype)(x)
    x = settings.neurons("hidden_lif")(settings.norm("hidden_norm")(x))
    return keras.Model(inputs, settings.read_out(x, 10), name="small_network")


def compiled(model, rate=5e-3):
    """Return a model compiled for logits."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model


def trained(fit=False, **changes):
    """Return a small network with random gamma and beta and statistics of digits, its images and labels.

    Args:
        fit: whether it has made some training steps before that.
        changes: to its settings.
    """
    keras.utils.set_random_seed(0)
    model = small_network(**changes)
    x, y = digits(64)
    if fit:
        compiled(model).fit(x, y, batch_size=32, epochs=2, verbose=0)
    random = np.random.default_rng(0)
    for layer in layers_of(model, stbp.ThresholdDependentBatchNormalization):
        layer.gamma.assign(random.uniform(0.8, 1.2, layer.gamma.shape))
        layer.beta.assign(random.normal(0, 0.05, layer.beta.shape))
        layer.momentum = 0.0  # a few steps at 0.9 would leave the statistics near their first values
    model(x, training=True)
    return model, x, y
