"""Dense layers for inference: what the layers of training compute from their weights at each call is done once."""

from typing import Any

import keras
import numpy as np

from ttfs_keras.ttfs import perturbation as perturbations
from ttfs_keras.ttfs.conv2d import TTFSConv2D
from ttfs_keras.ttfs.parameterization import B1
from ttfs_keras.ttfs.perturbation import Perturbation
from ttfs_keras.ttfs.synapses import Synapses


@keras.saving.register_keras_serializable(package="ttfs_keras")
class MappedTTFSConv2D(TTFSConv2D):
    """`TTFSConv2D` whose bias is a map, one value for each position and filter.

    Args:
        bias_shape: `(height, width, filters)`.
        arguments: those of `TTFSConv2D`.
    """

    def __init__(self, *, bias_shape: tuple[int, ...], **arguments: Any):
        super().__init__(**arguments)
        self.bias_shape = tuple(bias_shape)

    def build(self, input_shape):
        self.use_bias = False  # of Keras's own shape
        super().build(input_shape)
        self.use_bias = True
        self.bias = self.add_weight(name="bias", shape=self.bias_shape, initializer="zeros")

    def get_config(self):
        return {**super().get_config(), "bias_shape": self.bias_shape}


def folded(layer: keras.layers.Layer, name: str, shape: Any, kernel: np.ndarray, bias: np.ndarray) -> Any:
    """Return a layer that computes the same without any arithmetic on weights; itself if there is none.

    Args:
        layer: dense or convolutional one.
        name: of the new layer.
        shape: of its inputs, `(batch, ..., inputs)`.
        kernel, bias: its effective weights; a bias may be a map.
    """
    if not isinstance(layer, Synapses):
        return layer
    spikes_only = [item for item in layer.perturbations if type(item).perturb_weights is Perturbation.perturb_weights]
    moved = getattr(layer, "input_affine", None) is not None
    if isinstance(layer.parameterization, B1) and len(spikes_only) == len(layer.perturbations) and not moved:
        return layer
    config = layer.get_config() | {"name": name, "parameterization": "b1", "use_bias": True}
    config["perturbation"] = perturbations.serialize(spikes_only)
    if moved:
        config["input_affine"] = False
    kind: Any = type(layer)
    if bias.ndim > 1:
        kind, config["bias_shape"] = MappedTTFSConv2D, bias.shape
    found = kind.from_config(config)
    found.build(shape)
    found.kernel.assign(kernel)
    found.bias.assign(bias)
    if hasattr(layer, "neuron"):
        found.neuron.set_weights(layer.neuron.get_weights())
    return found
