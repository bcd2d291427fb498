"""Spiking ResNets, as ordinary Functional Keras models."""

from typing import Any

import keras
from keras import layers

from ttfs_keras.stbp.residual import LAST, convolution, residual_block
from ttfs_keras.stbp.settings import preset as preset_settings
from ttfs_keras.stbp.time import TimeFolded


def resnet19(
    image_shape: tuple[int, int, int] = (28, 28, 1), classes: int = 10, preset: str = "default", **settings: Any
) -> keras.Model:
    """Build ResNet-19 of Zheng et al., arXiv 2011.05280, table of architectures.

    Stem 3x3x128; three blocks of 128 channels, three of 256 and two of 512, the first of the latter at stride 2;
    average pool; dense 256; dense to the classes. A batch norm on the hidden dense layer is this package's addition.

    Shapes: images `(batch, height, width, channels)` to logits `(batch, classes)`; with `encoder=None` sequences
    `(batch, time_steps, height, width, channels)`.

    Args:
        image_shape: (height, width, channels).
        classes: number of logits.
        preset: "default", or "seed" for the 64-channel stem and the settings named in `settings.preset`.
        settings: changes to the preset, by the names of `Settings`: time_steps, threshold, decay, surrogate, width,
            reset, alpha, encoder, decoder and more.

    Raises:
        ValueError: a setting is outside its range; the message lists all of them.

    Example:
        >>> stbp.resnet19((8, 8, 1), 10, time_steps=4).output_shape
        (None, 10)
    """
    chosen = preset_settings(preset, **settings)
    stem = 64 if preset == "seed" else 128
    return _resnet("resnet19", image_shape, classes, chosen, (stem, 1), ((128, 3), (256, 3), (512, 2)), 256)


def resnet9(
    image_shape: tuple[int, int, int] = (28, 28, 1), classes: int = 10, preset: str = "default", **settings: Any
) -> keras.Model:
    """Build a ResNet of nine layers for machines with two cores: 82 thousand parameters.

    Stem 3x3x16 at stride 2; one block each of 16, 32 and 64 channels, the latter two at stride 2; average pool; dense
    64; dense to the classes.

    Shapes, arguments and errors: as of `resnet19`.

    Example:
        >>> stbp.resnet9((28, 28, 1), 10).count_params()
        82853
    """
    chosen = preset_settings(preset, **settings)
    return _resnet("resnet9", image_shape, classes, chosen, (16, 2), ((16, 1), (32, 1), (64, 1)), 64)


def _resnet(name, image_shape, classes, settings, stem, stages, hidden):
    dtype = settings.dtype
    sequence = () if settings.encoder else (settings.time_steps,)
    inputs = keras.Input((*sequence, *image_shape), dtype=dtype, name="image")
    filters, strides = stem
    x = convolution(settings.encode(inputs), filters, 3, strides, "stem_conv", dtype)
    x = settings.neurons("stem_lif")(settings.all_steps(settings.norm("stem_norm")(x)))
    for stage, (filters, blocks) in enumerate(stages, 1):
        for block in range(1, blocks + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = residual_block(x, filters, strides, f"block{stage}-{block}", settings)
    x = TimeFolded(layers.GlobalAveragePooling2D(LAST, dtype=dtype), name="pool", dtype=dtype)(x)
    x = layers.Dense(hidden, use_bias=not settings.normalize_hidden, name="hidden_dense", dtype=dtype)(x)
    if settings.normalize_hidden:
        x = settings.norm("hidden_norm")(x)
    x = settings.neurons("hidden_lif")(x)
    return keras.Model(inputs, settings.read_out(x, classes), name=name)
