"""Operations of Keras that spikes pass one to one, or of which synapses may consist."""

from typing import Any

import keras

from ttfs_keras.network import raw
from ttfs_keras.ttfs.affine import Affine
from ttfs_keras.ttfs.interpolation import Interpolation
from ttfs_keras.ttfs.pooling import OF_KERAS

POOLS = tuple(OF_KERAS)
# Operations that copy or delay spikes one to one, if they do not interpolate; any other one sums them.
RELAYS = (
    *raw.MOVES, raw.RESIZE, keras.layers.CenterCrop, keras.layers.RepeatVector, keras.layers.Resizing,
    keras.layers.ActivityRegularization, keras.layers.AlphaDropout, keras.layers.Concatenate,
    keras.layers.Cropping1D, keras.layers.Cropping2D, keras.layers.Cropping3D, keras.layers.Dropout,
    keras.layers.Flatten, keras.layers.GaussianDropout, keras.layers.GaussianNoise, keras.layers.Identity,
    keras.layers.Permute, keras.layers.Reshape, keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D, keras.layers.UpSampling1D, keras.layers.UpSampling2D, keras.layers.UpSampling3D,
    keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D, keras.layers.ZeroPadding3D,
)  # fmt: skip
# Operations of which synapses may consist besides those with neurons: their output is linear in the lead times.
LINEAR_LAYERS = (
    keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D, keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose, keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D, keras.layers.SeparableConv1D, keras.layers.SeparableConv2D,
    keras.layers.AveragePooling1D, keras.layers.AveragePooling2D, keras.layers.AveragePooling3D,
    keras.layers.GlobalAveragePooling1D, keras.layers.GlobalAveragePooling2D, keras.layers.GlobalAveragePooling3D,
    keras.layers.Add, keras.layers.Subtract, keras.layers.Average,
    keras.layers.EinsumDense, keras.layers.TimeDistributed, Affine, Interpolation, *raw.SUMS, *RELAYS,
)  # fmt: skip


def passes_spikes(operation: Any) -> bool:
    """Return whether an operation pools, moves or copies spikes, so that spikes come out of it."""
    if isinstance(operation, keras.layers.TimeDistributed):
        return isinstance(operation.layer, RELAYS) and passes_spikes(operation.layer)
    moves = isinstance(operation, RELAYS) and getattr(operation, "interpolation", "nearest") == "nearest"
    return moves or isinstance(operation, POOLS)
