"""Networks of keras.applications with random weights and random batch norms."""

import keras
import numpy as np

# {name: (side of the images, input range)} of networks that are exact, and of all others.
EXACT = {
    "VGG16": (32, (0.0, 1.0)),
    "VGG19": (32, (0.0, 1.0)),
    "ResNet50": (32, (-1.0, 1.0)),
    "ResNet101": (32, (-1.0, 1.0)),
    "ResNet152": (32, (-1.0, 1.0)),
    "ResNet50V2": (32, (-1.0, 1.0)),
    "ResNet101V2": (32, (-1.0, 1.0)),
    "ResNet152V2": (32, (-1.0, 1.0)),
    "DenseNet121": (32, (0.0, 1.0)),
    "DenseNet169": (32, (0.0, 1.0)),
    "DenseNet201": (32, (0.0, 1.0)),
    "MobileNet": (32, (-1.0, 1.0)),
    "MobileNetV2": (32, (-1.0, 1.0)),
    "InceptionV3": (75, (-1.0, 1.0)),
    "InceptionResNetV2": (75, (-1.0, 1.0)),
    "Xception": (71, (0.0, 1.0)),
    "NASNetMobile": (32, (-1.0, 1.0)),
    "NASNetLarge": (32, (-1.0, 1.0)),
}
OTHERS = [
    "MobileNetV3Small", "MobileNetV3Large", *(f"EfficientNetB{n}" for n in range(8)),
    *(f"EfficientNetV2{kind}" for kind in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    *(f"ConvNeXt{kind}" for kind in ("Tiny", "Small", "Base", "Large", "XLarge")),
]  # fmt: skip
SOURCES = EXACT | {name: (32, (0.0, 255.0)) for name in OTHERS}


def images(name, samples, seed=0):
    """Return `(samples, side, side, 3)` random float32 images in the range of a network."""
    side, (low, high) = SOURCES[name]
    return np.random.default_rng(seed).uniform(low, high, (samples, side, side, 3)).astype("float32")


def source(name, seed=0):
    """Return a network with ten classes whose batch norms hold statistics near those of random images."""
    keras.utils.set_random_seed(seed)
    side, _ = SOURCES[name]
    model = getattr(keras.applications, name)(weights=None, input_shape=(side, side, 3), classes=10)
    randomize_batch_norms(model, images(name, 32, seed + 1), seed)
    return model


def randomize_batch_norms(model, data, seed=0):
    """Give all batch norms gammas of both signs, betas, and statistics some way off those of the data."""
    random = np.random.default_rng(seed)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        if layer.gamma is not None:
            signs = np.where(random.uniform(size=layer.gamma.shape) < 0.2, -1, 1)
            layer.gamma.assign(signs * random.uniform(0.5, 1.5, layer.gamma.shape))
        layer.beta.assign(random.normal(0.5, 0.3, layer.beta.shape))
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(data, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
        mean, variance = np.array(layer.moving_mean), np.array(layer.moving_variance)
        deviation = np.sqrt(variance + layer.epsilon)
        layer.moving_mean.assign(mean + 0.1 * deviation * random.normal(size=mean.shape))
        layer.moving_variance.assign(variance * random.uniform(0.8, 1.25, variance.shape) + 1e-3)
