"""VGG16 for small images (Simonyan and Zisserman, arXiv 1409.1556), in the paper's MNIST and CIFAR variants."""

import keras
from keras import layers

# Channels of 3x3 convolutions by block, with 2x2 max pooling behind each block, and the hidden dense layers.
MNIST = ((64, 64, 128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)), (512, 512)
CIFAR = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)), (512,)

WEIGHT_DECAY = 5e-4  # of the public code's VGG without batch norm


def vgg16(
    image_shape: tuple[int, int, int], classes: int, batch_norm: bool = False, dtype: str = "float32"
) -> keras.Model:
    """Build the MNIST variant for one-channel images, else the CIFAR variant (as in geifmany/cifar-vgg).

    Shapes: images `(batch, height, width, channels)` to logits `(batch, classes)`.

    Args:
        image_shape: (height, width, channels), at least 16 (MNIST) or 32 (CIFAR) wide and high.
        classes: number of logits.
        batch_norm: whether batch norm follows each ReLU. Without it kernels are drawn by He's rule and decay by L2.
        dtype: of weights and activations.
    """
    blocks, hidden = MNIST if image_shape[-1] == 1 else CIFAR
    options = {"dtype": dtype, "activation": "relu"}
    if not batch_norm:
        options["kernel_initializer"] = "he_uniform"
        options["kernel_regularizer"] = keras.regularizers.L2(WEIGHT_DECAY)

    def norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return layers.BatchNormalization(name=name, dtype=dtype)(x) if batch_norm else x

    x = inputs = keras.Input(image_shape, dtype=dtype, name="image")
    for block, widths in enumerate(blocks, 1):
        for n, width in enumerate(widths, 1):
            x = layers.Conv2D(width, 3, padding="same", name=f"conv_{block}_{n}", **options)(x)
            x = norm(x, f"norm_{block}_{n}")
        x = layers.MaxPooling2D(name=f"pool_{block}", dtype=dtype)(x)
    x = layers.Flatten(name="flatten", dtype=dtype)(x)
    for n, width in enumerate(hidden, 1):
        x = layers.Dense(width, name=f"dense_{n}", **options)(x)
        x = norm(x, f"norm_dense_{n}")
    options = {key: value for key, value in options.items() if key in ("dtype", "kernel_regularizer")}
    return keras.Model(inputs, layers.Dense(classes, name="readout", **options)(x), name="vgg16")
