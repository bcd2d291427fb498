"""How a name on the command line, such as `VGG_BN_example`, names a network."""


def has_name(model_name: str, name: str) -> bool:
    """Return whether a name is among the parts of a model's name between underscores, whatever the case.

    Args:
        model_name: such as "VGG_BN_example".
        name: a part, or several in this order, such as "spike_count".

    Example:
        >>> from ttfs_keras.models.names import has_name
        >>> has_name("vgg_bn_example", "BN"), has_name("FC2_SUBNET", "BN")
        (True, False)
    """
    return f"_{name}_".lower() in f"_{model_name}_".lower()
