"""From a model name to a directly trained spiking network."""

from ttfs_keras.errors import ConfigurationError
from ttfs_keras.stbp.resnet import resnet9, resnet19

NETWORKS = {"RESNET19": resnet19, "RESNET9": resnet9}


def stbp_network(model_name):
    """Return the function that builds the network whose name a model name contains, or None."""
    return next((build for name, build in NETWORKS.items() if name in model_name.upper()), None)


def stbp_model(model_name, image_shape, classes, preset="default", **settings):
    """Build the untrained network that a name stands for.

    Args:
        model_name: contains ResNet19 or ResNet9.
        image_shape, classes, preset, settings: see `ttfs_keras.stbp.resnet19`.

    Raises:
        ConfigurationError: the name contains neither.
        ValueError: a setting is outside its range.
    """
    build = stbp_network(model_name)
    if build is None:
        raise ConfigurationError(
            f"model_name: expected a name with ResNet19 or ResNet9 in it. Received: {model_name!r}"
        )
    return build(image_shape, classes, preset, **settings)
