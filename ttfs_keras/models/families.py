"""From a model name to a ReLU network."""

import keras

from ttfs_keras.errors import ConfigurationError
from ttfs_keras.models.fc2 import fc2
from ttfs_keras.models.names import has_name
from ttfs_keras.models.stbp import NETWORKS, stbp_model
from ttfs_keras.models.vgg16 import vgg16
from ttfs_keras.stbp.from_relu import relu_twin

# The parts of a model name that stand for a family.
FAMILIES = {"FC2": "FC2", "VGG": "VGG", "VGG16": "VGG", "custom": "custom"} | {name: name for name in NETWORKS}


def parse(model_name: str) -> tuple[str, bool]:
    """Return (family, batch norm) of a model name by its parts between underscores, in any case.

    Args:
        model_name: has the part FC2, VGG, VGG16, ResNet9, ResNet19 or custom, and BN for batch norm.

    Raises:
        ConfigurationError: the name has none of the families.

    Example:
        >>> from ttfs_keras.models.families import parse
        >>> parse("vgg_bn_example"), parse("FC2_SUBNET")
        (('VGG', True), ('FC2', False))
    """
    for part, family in FAMILIES.items():
        if has_name(model_name, part):
            return family, has_name(model_name, "BN")
    raise ConfigurationError(
        "model_name: expected a name with FC2, VGG, ResNet9, ResNet19 or custom as one of its parts between "
        f"underscores. Received: {model_name!r}"
    )


def relu_model(
    model_name: str,
    image_shape: tuple[int, int, int],
    classes: int,
    units: int = 340,
    depth: int = 2,
    dtype: str = "float32",
) -> keras.Model:
    """Build the untrained ReLU network of a name.

    Shapes: images `(batch, height, width, channels)` to logits `(batch, classes)`.

    Args:
        model_name: has the part FC2, VGG, ResNet9 or ResNet19 between underscores, and BN for batch norm. A ResNet is
            the ReLU twin of the spiking network of that name and always has batch norm.
        image_shape: (height, width, channels).
        classes: number of logits.
        units: neurons of a hidden layer, FC2 only.
        depth: number of layers with weights, FC2 only.
        dtype: "float32" or "float64", of weights and activations.

    Raises:
        ConfigurationError: the name has no known family, or custom, a network that can only be loaded.

    Example:
        >>> from ttfs_keras.models import relu_model
        >>> relu_model("FC2_BN", (8, 8, 1), 3, units=5).output_shape
        (None, 3)
    """
    family, batch_norm = parse(model_name)
    if family == "custom":
        raise ConfigurationError(
            "model_name: expected FC2, VGG or a ResNet to build a new network; a custom one can only be loaded. "
            f"Received: {model_name!r}"
        )
    if family in NETWORKS:
        return relu_twin(stbp_model(family, image_shape, classes, dtype=dtype))
    if family == "FC2":
        return fc2(image_shape, classes, units, depth, batch_norm, dtype)
    return vgg16(image_shape, classes, batch_norm, dtype)
