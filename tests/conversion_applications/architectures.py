"""Architectures that people train, built small, by name."""

import keras
import numpy as np
from keras import layers, ops

ARCHITECTURES = {}


def architecture(name):
    def register(build):
        ARCHITECTURES[name] = build
        return build

    return register


def conv(x, filters, size=3, strides=1, activation="relu", norm=True, **arguments):
    """Convolution, batch norm, activation, of images or series."""
    kind = layers.Conv2D if len(x.shape) == 4 else layers.Conv1D
    padding = arguments.pop("padding", "same")
    x = kind(filters, size, strides, padding=padding, use_bias=not norm, **arguments)(x)
    x = layers.BatchNormalization()(x) if norm else x
    return layers.Activation(activation)(x) if activation else x


def separable(x, filters, strides=1, activation="relu"):
    """Depthwise and pointwise convolution, each with a batch norm."""
    x = layers.DepthwiseConv2D(3, strides, padding="same", use_bias=False)(x)
    x = layers.Activation(activation)(layers.BatchNormalization()(x))
    return conv(x, filters, 1, activation=activation)


def residual(x, filters, strides=1):
    y = conv(conv(x, filters, strides=strides), filters, activation=None)
    if strides > 1 or x.shape[-1] != filters:
        x = layers.Conv2D(filters, 1, strides, padding="same")(x)
    return layers.ReLU()(layers.Add()([x, y]))


@architecture("MLPerf Tiny, anomaly detection (autoencoder)")
def anomaly_detection():
    x = inputs = keras.Input((40,))
    for units in (16, 16, 4, 16, 16):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(units)(x)))
    return keras.Model(inputs, layers.Dense(40)(x))


@architecture("MLPerf Tiny, keyword spotting (DS-CNN)")
def keyword_spotting():
    inputs = keras.Input((25, 10, 1))
    x = layers.Dropout(0.2)(conv(inputs, 8, (10, 4), 2))
    for _ in range(4):
        x = separable(x, 8)
    x = layers.AveragePooling2D(x.shape[1:3])(layers.Dropout(0.4)(x))
    return keras.Model(inputs, layers.Dense(12, activation="softmax")(layers.Flatten()(x)))


@architecture("MLPerf Tiny, visual wake words (MobileNet v1)")
def visual_wake_words():
    inputs = keras.Input((24, 24, 3))
    x = conv(inputs, 4, strides=2)
    for filters, strides in ((8, 1), (8, 2), (16, 1), (16, 2)):
        x = separable(x, filters, strides)
    x = layers.AveragePooling2D(x.shape[1:3])(x)
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.Flatten()(x)))


@architecture("MLPerf Tiny, image classification (ResNet-8)")
def resnet8():
    inputs = keras.Input((16, 16, 3))
    x = conv(inputs, 8)
    for filters, strides in ((8, 1), (12, 2), (16, 2)):
        x = residual(x, filters, strides)
    x = layers.Flatten()(layers.AveragePooling2D(4)(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def unet(up):
    inputs = keras.Input((12, 12, 1))
    first = conv(inputs, 4)
    second = conv(layers.MaxPooling2D()(first), 6)
    x = conv(layers.MaxPooling2D()(second), 8)
    for skip in (second, first):
        x = conv(layers.Concatenate()([up(x), skip]), skip.shape[-1])
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


@architecture("U-Net, upsampling to the nearest")
def unet_nearest():
    return unet(layers.UpSampling2D())


@architecture("U-Net, bilinear upsampling")
def unet_bilinear():
    return unet(layers.UpSampling2D(interpolation="bilinear"))


@architecture("U-Net, transposed convolutions")
def unet_transposed():
    return unet(lambda x: layers.Conv2DTranspose(x.shape[-1], 2, 2, padding="same")(x))


@architecture("FordA-style CNN of time series")
def forda():
    x = inputs = keras.Input((50, 1))
    for _ in range(3):
        x = conv(x, 8)
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


@architecture("causal TCN, read at the last step")
def tcn():
    x = inputs = keras.Input((20, 2))
    for dilation in (1, 2, 4):
        y = conv(x, 6, padding="causal", dilation_rate=dilation)
        y = conv(layers.SpatialDropout1D(0.1)(y), 6, padding="causal", dilation_rate=dilation)
        x = layers.ReLU()(y + (x if x.shape[-1] == 6 else layers.Conv1D(6, 1)(x)))
    return keras.Model(inputs, layers.Dense(1)(x[:, -1]))


@architecture("SqueezeNet")
def squeezenet():
    inputs = keras.Input((20, 20, 3))
    x = layers.MaxPooling2D(3, 2)(conv(inputs, 8, norm=False))
    for squeezed, expanded in ((4, 6), (4, 6), (6, 8)):
        x = conv(x, squeezed, 1, norm=False)
        x = layers.Concatenate()([conv(x, expanded, size, norm=False) for size in (1, 3)])
    x = layers.GlobalAveragePooling2D()(conv(layers.Dropout(0.5)(x), 5, 1, norm=False))
    return keras.Model(inputs, layers.Softmax()(x))


@architecture("ShuffleNet")
def shufflenet():
    inputs = keras.Input((12, 12, 3))
    x = conv(inputs, 8)
    for _ in range(2):
        y = conv(x, 8, 1, groups=2)
        y = ops.reshape(y, (-1, *y.shape[1:3], 2, 4))
        y = ops.reshape(ops.transpose(y, (0, 1, 2, 4, 3)), (-1, *x.shape[1:]))
        y = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(y))
        x = layers.ReLU()(layers.Add()([x, conv(y, 8, 1, groups=2, activation=None)]))
    left, right = ops.split(x, 2, axis=-1)  # the unit of version 2
    x = layers.Concatenate()([left, conv(right, 4, 1)])
    return keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x)))


@architecture("ResNet v2 (pre-activation)")
def resnet_v2():
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same")(inputs)
    for filters, strides in ((8, 1), (16, 2)):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        skip = layers.Conv2D(filters, 1, strides)(y) if strides > 1 else x
        y = layers.Conv2D(filters, 3, padding="same")(conv(y, filters, strides=strides))
        x = layers.Add()([skip, y])
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.BatchNormalization()(x)))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


@architecture("dense autoencoder")
def dense_autoencoder():
    inputs = keras.Input((8, 8))
    x = layers.Dense(6, activation="relu")(layers.Dense(20, activation="relu")(layers.Flatten()(inputs)))
    x = layers.Dense(64, activation="sigmoid")(layers.Dense(20, activation="relu")(x))
    return keras.Model(inputs, layers.Reshape((8, 8))(x))


@architecture("convolutional autoencoder")
def convolutional_autoencoder():
    x = inputs = keras.Input((12, 12, 1))
    for filters in (6, 3):
        x = layers.MaxPooling2D(padding="same")(conv(x, filters, norm=False))
    for filters in (3, 6):
        x = layers.Conv2DTranspose(filters, 3, 2, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))


def frames():
    inputs = keras.Input((24, 24, 4))
    x = conv(conv(inputs / 255.0, 6, 8, 4, padding="valid", norm=False), 8, 4, norm=False)
    return inputs, layers.Flatten()(x)


@architecture("DQN")
def dqn():
    inputs, x = frames()
    return keras.Model(inputs, layers.Dense(4)(layers.Dense(16, activation="relu")(x)))


@architecture("dueling DQN")
def dueling_dqn():
    inputs, x = frames()
    value = layers.Dense(1)(layers.Dense(16, activation="relu")(x))
    advantage = layers.Dense(4)(layers.Dense(16, activation="relu")(x))
    return keras.Model(inputs, value + advantage - ops.mean(advantage, axis=1, keepdims=True))


@architecture("PointNet without T-nets")
def pointnet():
    x = inputs = keras.Input((32, 3))
    for filters in (8, 8, 16):
        x = conv(x, filters, 1)
    x = layers.Dense(8)(layers.GlobalMaxPooling1D()(x))
    x = layers.Dropout(0.3)(layers.ReLU()(layers.BatchNormalization()(x)))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


@architecture("PointNet, segmentation")
def pointnet_segmentation():
    inputs = keras.Input((16, 3))
    points = conv(inputs, 8, 1)
    whole = layers.RepeatVector(16)(layers.GlobalMaxPooling1D()(conv(points, 12, 1)))
    x = conv(ops.concatenate([points, whole], axis=-1), 8, 1)
    return keras.Model(inputs, layers.Conv1D(4, 1, activation="softmax")(x))


@architecture("TextCNN")
def textcnn():
    inputs = keras.Input((20,), dtype="int32")
    x = layers.Embedding(50, 8)(inputs)
    x = [layers.GlobalMaxPooling1D()(layers.Conv1D(6, size, activation="relu")(x)) for size in (3, 4, 5)]
    x = layers.Dropout(0.5)(layers.Concatenate()(x))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


@architecture("bag of embeddings (fastText)")
def fasttext():
    inputs = keras.Input((20,), dtype="int32")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(50, 8)(inputs))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Dense(12, activation="relu")(x)))


@architecture("tabular network, categories and numbers")
def tabular():
    kind = keras.Input((1,), dtype="int32", name="kind")
    numbers = keras.Input((5,), name="numbers")
    x = layers.CategoryEncoding(50, output_mode="one_hot")(kind)
    embedded = layers.Flatten()(layers.Embedding(50, 3)(kind))
    x = layers.Concatenate()([x, embedded, layers.BatchNormalization()(numbers)])
    x = layers.Dense(8, activation="relu")(layers.Dense(16, activation="relu")(x))
    return keras.Model([kind, numbers], layers.Dense(1)(x))


@architecture("VAE encoder")
def vae_encoder():
    inputs = keras.Input((12, 12, 1))
    x = conv(conv(inputs, 6, strides=2, norm=False), 8, strides=2, norm=False)
    x = layers.Dense(12, activation="relu")(layers.Flatten()(x))
    return keras.Model(inputs, [layers.Dense(2, name="z_mean")(x), layers.Dense(2, name="z_log_var")(x)])


@architecture("GAN discriminator")
def discriminator():
    x = inputs = keras.Input((12, 12, 1))
    for filters in (6, 8):
        x = layers.Dropout(0.3)(layers.LeakyReLU(0.2)(layers.Conv2D(filters, 5, 2, padding="same")(x)))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(layers.Flatten()(x)))


@architecture("GAN generator")
def generator():
    inputs = keras.Input((6,))
    x = layers.LeakyReLU()(layers.BatchNormalization()(layers.Dense(3 * 3 * 8)(inputs)))
    x = layers.Reshape((3, 3, 8))(x)
    x = layers.LeakyReLU()(layers.BatchNormalization()(layers.Conv2DTranspose(6, 5, 2, padding="same")(x)))
    return keras.Model(inputs, layers.Conv2DTranspose(1, 5, 2, padding="same", activation="tanh")(x))


@architecture("Inception module")
def inception():
    inputs = keras.Input((12, 12, 3))
    x = conv(inputs, 8)
    branches = [conv(x, 4, 1), conv(conv(x, 4, 1), 4), conv(conv(x, 4, 1), 4, 5)]
    branches.append(conv(layers.MaxPooling2D(3, 1, padding="same")(x), 4, 1))
    x = layers.GlobalAveragePooling2D()(layers.Concatenate()(branches))
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(x))


@architecture("MobileNet v2 (ReLU6, linear bottlenecks)")
def mobilenet_v2():
    inputs = keras.Input((16, 16, 3))
    x = conv(inputs, 8, strides=2, activation="relu6")
    for strides in (1, 2):
        y = separable(conv(x, 24, 1, activation="relu6"), 8, strides, "relu6") if strides > 1 else conv(
            layers.ReLU(6)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(conv(x, 24, 1)))),
            8, 1, activation=None,
        )  # fmt: skip
        x = layers.Add()([x, y]) if strides == 1 else y
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


@architecture("super-resolution (ESPCN)")
def espcn():
    inputs = keras.Input((8, 8, 1))
    x = conv(conv(inputs, 8, 5, norm=False), 6, norm=False)
    x = layers.Conv2D(4, 3, padding="same")(x)
    x = ops.reshape(ops.transpose(ops.reshape(x, (-1, 8, 8, 2, 2)), (0, 1, 3, 2, 4)), (-1, 16, 16, 1))
    return keras.Model(inputs, ops.clip(x, 0, 1))


@architecture("Siamese network, |a - b|")
def siamese():
    pair = [keras.Input((10,), name=name) for name in ("left", "right")]
    twin = keras.Sequential([keras.Input((10,)), layers.Dense(12, "relu"), layers.Dense(6)])
    x = ops.abs(twin(pair[0]) - twin(pair[1]))
    return keras.Model(pair, layers.Dense(1, activation="sigmoid")(x))


@architecture("maxout network")
def maxout():
    inputs = keras.Input((10,))
    x = layers.Maximum()([layers.Dense(8)(inputs) for _ in range(3)])
    return keras.Model(inputs, layers.Dense(3)(x))


@architecture("binary-friendly CNN (hard_tanh)")
def hard_tanh():
    inputs = keras.Input((8, 8, 1))
    x = conv(conv(inputs, 6, activation="hard_tanh"), 6, activation="hard_tanh")
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def source(name, seed=0):
    """Return a network, float64, whose weights and batch norms are random."""
    keras.utils.set_random_seed(seed)
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        model = ARCHITECTURES[name]()
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.gamma.assign(random.uniform(-0.5, 1.5, layer.gamma.shape))
            for weight in (layer.beta, layer.moving_mean):
                weight.assign(random.normal(0.0, 0.3, weight.shape))
            layer.moving_variance.assign(random.uniform(0.5, 1.5, layer.moving_variance.shape))
    return model


def inputs_of(model, samples, seed=0):
    """Return inputs in [0, 1], and integers below 50."""
    random = np.random.default_rng(seed)
    found = [
        random.integers(0, 50, (samples, *symbol.shape[1:])) if "int" in symbol.dtype
        else random.uniform(size=(samples, *symbol.shape[1:]))
        for symbol in model.inputs
    ]  # fmt: skip
    return found if len(found) > 1 else found[0]
