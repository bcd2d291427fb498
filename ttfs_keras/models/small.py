"""Small residual and depthwise-separable networks, for machines with two cores."""

import keras
from keras import layers


def small_resnet(image_shape: tuple[int, int, int], classes: int, width: int = 16) -> keras.Model:
    """Build three residual blocks of two 3x3 convolutions, batch norm before ReLU (He et al., arXiv 1512.03385).

    Shapes: images `(batch, height, width, channels)` to logits `(batch, classes)`.

    Args:
        image_shape: (height, width, channels).
        classes: number of logits.
        width: channels of the first block; each later one has twice as many at half the size.
    """

    def convolution(x, filters, strides=1, size=3):
        x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization(momentum=0.9)(x)

    inputs = keras.Input(image_shape, name="image")
    x = layers.ReLU()(convolution(inputs, width))
    for block in range(3):
        filters, strides = width * 2**block, 1 if block == 0 else 2
        branch = layers.ReLU()(convolution(x, filters, strides))
        branch = convolution(branch, filters)
        skip = x if block == 0 else convolution(x, filters, strides, size=1)
        x = layers.ReLU()(layers.Add()([branch, skip]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes, name="readout")(x), name="small_resnet")


def small_mobilenet(image_shape: tuple[int, int, int], classes: int, width: int = 16) -> keras.Model:
    """Build inverted residual blocks with linear bottlenecks and ReLU6 (Sandler et al., arXiv 1801.04381).

    Shapes: images `(batch, height, width, channels)` to logits `(batch, classes)`.

    Args:
        image_shape: (height, width, channels).
        classes: number of logits.
        width: channels of the first bottleneck.
    """

    def relu6(x):
        return layers.ReLU(max_value=6.0)(layers.BatchNormalization(momentum=0.9)(x))

    inputs = keras.Input(image_shape, name="image")
    x = relu6(layers.Conv2D(width, 3, 2, padding="same", use_bias=False)(inputs))
    for filters, strides in ((width, 1), (2 * width, 2), (2 * width, 1)):
        y = relu6(layers.Conv2D(4 * x.shape[-1], 1, use_bias=False)(x))
        y = relu6(layers.DepthwiseConv2D(3, strides, padding="same", use_bias=False)(y))
        y = layers.BatchNormalization(momentum=0.9)(layers.Conv2D(filters, 1, use_bias=False)(y))
        x = layers.Add()([x, y]) if x.shape == y.shape else y
    x = relu6(layers.Conv2D(4 * width, 1, use_bias=False)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes, name="readout")(x), name="small_mobilenet")
