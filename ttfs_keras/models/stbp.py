"""From a model name to a directly trained spiking network."""

from collections.abc import Callable
from typing import Any

import keras

from ttfs_keras.errors import ConfigurationError
from ttfs_keras.models.names import has_name
from ttfs_keras.stbp.resnet import resnet9, resnet19

NETWORKS: dict[str, Callable[..., keras.Model]] = {"ResNet19": resnet19, "ResNet9": resnet9}


def parse_stbp(model_name: str) -> str:
    """Return the key of `NETWORKS` that is a part of a model name.

    Raises:
        ConfigurationError: none of them is.
    """
    for name in NETWORKS:
        if has_name(model_name, name):
            return name
    raise ConfigurationError(
        "model_name: expected a name with ResNet19 or ResNet9 as one of its parts between underscores. "
        f"Received: {model_name!r}"
    )


def stbp_model(
    model_name: str, image_shape: tuple[int, int, int], classes: int, preset: str = "default", **settings: Any
) -> keras.Model:
    """Build the untrained spiking network of a name.

    Shapes: images `(batch, height, width, channels)` to logits `(batch, classes)`.

    Args:
        model_name: has the part ResNet19 or ResNet9.
        image_shape, classes, preset, settings: see `ttfs_keras.stbp.resnet19`.

    Raises:
        ConfigurationError: the name has neither part.
        ValueError: a setting is outside its range.

    Example:
        >>> from ttfs_keras.models.stbp import stbp_model
        >>> stbp_model("my_ResNet9", (8, 8, 1), 3).output_shape
        (None, 3)
    """
    return NETWORKS[parse_stbp(model_name)](image_shape, classes, preset, **settings)
