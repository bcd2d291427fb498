"""From a model name to an architecture and the settings it is trained with."""

import keras

from ttfs_keras.errors import ConfigurationError
from ttfs_keras.models.fc2 import fc2
from ttfs_keras.models.stbp import NETWORKS, stbp_model
from ttfs_keras.models.vgg16 import vgg16
from ttfs_keras.stbp.from_relu import relu_twin


def parse(model_name):
    """Return (family, batch_norm) of a name that contains FC2, VGG, ResNet9, ResNet19 or custom, and BN for batch norm.

    Raises:
        ConfigurationError: the name contains none of them.
    """
    family = next((known for known in ("FC2", "VGG", "CUSTOM", *NETWORKS) if known in model_name.upper()), None)
    if family is None:
        raise ConfigurationError(
            "model_name: expected a name with FC2, VGG, VGG_BN, ResNet9, ResNet19 or custom in it. "
            f"Received: {model_name!r}"
        )
    return family, "BN" in model_name.upper()


def relu_model(model_name, image_shape, classes, units=340, depth=2, dtype="float32"):
    """Build the untrained ReLU model that a name stands for.

    Args:
        model_name: contains FC2, VGG, ResNet9 or ResNet19, and BN where batch norm is wanted; a ResNet is the ReLU
            twin of the spiking network of that name and always has it.
        image_shape: (height, width, channels).
        classes: number of logits.
        units: neurons of a hidden layer, FC2 only.
        depth: number of layers with weights, FC2 only.
        dtype: "float32" or "float64".

    Raises:
        ConfigurationError: the name is of no known family, or custom, which is only loaded.
    """
    family, batch_norm = parse(model_name)
    if family == "CUSTOM":
        raise ConfigurationError(
            f"model_name: expected FC2, VGG or ResNet in a name to build a model. Received: {model_name!r}"
        )
    if family in NETWORKS:
        return relu_twin(stbp_model(model_name, image_shape, classes, dtype=dtype))
    if family == "FC2":
        return fc2(image_shape, classes, units, depth, batch_norm, dtype)
    return vgg16(image_shape, classes, batch_norm, dtype)


def optimizer(model_name, learning_rate=None):
    """Return the optimizer of the paper's public code for this family.

    FC2, VGG with batch norm, custom models: Adam at 5e-4, times 0.9 every 5000 steps. VGG without: SGD, momentum 0.9,
    at 1e-3, a choice of this package.

    Args:
        model_name: see `parse`.
        learning_rate: of the first step; None for the above.
    """
    family, batch_norm = parse(model_name)
    if family == "VGG" and not batch_norm:
        return keras.optimizers.SGD(learning_rate or 1e-3, momentum=0.9)
    schedule = keras.optimizers.schedules.ExponentialDecay(learning_rate or 5e-4, decay_steps=5000, decay_rate=0.9)
    return keras.optimizers.Adam(schedule)
