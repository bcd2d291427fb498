"""What a perturbation is: a small Keras layer with two hooks, and how a layer takes a list of them."""

import keras
import tensorflow as tf


@tf.custom_gradient
def straight_through(exact, perturbed):
    """Return `perturbed` forward, to the bit, and the gradient of `exact` backward; both of the same shape."""
    return tf.identity(perturbed), lambda upstream: (upstream, None)


class Perturbation(keras.layers.Layer):
    """Base of all perturbations: changes nothing.

    Attributes:
        owner: name of the layer that holds it, set by `get`.

    Example:
        >>> class Late(tk.ttfs.Perturbation):
        ...     def perturb_spikes(self, lead, window):
        ...         return lead / 2
        >>> tk.TTFSEncoder(perturbation=Late())(np.array([[1.0]])).numpy().tolist()
        [[0.5]]
    """

    owner = ""

    def perturb_weights(self, weights, offsets):
        """Return synaptic weights `(..., inputs, neurons)` and threshold offsets `(..., neurons)` or None."""
        return weights, offsets

    def perturb_spikes(self, lead, window):
        """Return lead times `(batch, ..., neurons)` of a window of width `window`, in window time."""
        return lead


def get(identifier, owner):
    """Return a list of new perturbations from None, a perturbation, a serialized one, or a sequence of them.

    Copies, so that one object can be given to many layers.

    Args:
        identifier: as above.
        owner: name of the layer that will hold them.

    Raises:
        ValueError: an entry is something else.
    """
    if identifier is None:
        return []
    found = []
    for item in identifier if isinstance(identifier, list | tuple) else [identifier]:
        if isinstance(item, Perturbation):
            item = type(item).from_config(item.get_config())
        elif isinstance(item, dict):
            item = keras.saving.deserialize_keras_object(item)
        if not isinstance(item, Perturbation):
            raise ValueError(f"perturbation: expected None, Perturbation layers or a list of them. Received: {item!r}")
        item.owner = owner
        found.append(item)
    return found


def serialize(perturbations):
    """Return the configuration of a list of perturbations, as `get` takes it."""
    configs = [keras.saving.serialize_keras_object(item) for item in perturbations]
    # Their state is built by the layer that holds them.
    return [{key: value for key, value in config.items() if key != "build_config"} for config in configs]
