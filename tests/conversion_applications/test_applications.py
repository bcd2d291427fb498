import keras
import numpy as np
import pytest

import ttfs_keras as tk
from tests.conversion_applications.networks import SOURCES, images, source
from tests.tolerances import FLOAT32

RECTIFIERS = (keras.activations.relu, keras.activations.relu6)


def rectified(model):
    """Return the names of the layers of a model that end in a ReLU."""
    return {
        layer.name
        for layer in model.layers
        if isinstance(layer, keras.layers.ReLU) or getattr(layer, "activation", None) in RECTIFIERS
    }


# The others of these families take minutes; `benchmarks/applications.py` converts them.
FAST = ("VGG16", "ResNet50", "ResNet50V2", "DenseNet121", "MobileNet", "MobileNetV2", "InceptionV3", "Xception")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FAST, "InceptionResNetV2", "NASNetMobile"])
def test_networks_of_keras_applications_become_exact_spiking_networks(name, record_property):
    model = source(name)
    snn = tk.convert(model, images(name, 16, seed=2), input_range=SOURCES[name][1])
    fresh = images(name, 16, seed=3)
    report = tk.verify(snn, model, fresh, tolerance=FLOAT32)
    # Fresh images may cause a few; for the record (--junitxml).
    record_property("premature_spikes", report.premature_spikes)
    record_property("saturated_spikes", report.saturated_spikes)
    assert report.agreement == 1, report
    assert report.max_abs_error <= FLOAT32 * np.max(model(fresh)), report
    compared = {layer.name: layer for layer in report.layers if layer.max_abs_error is not None}
    assert set(compared) == rectified(model)
    assert all(0 < layer.spikes_per_neuron <= 1 for layer in compared.values())
    assert snn.output_shape == model.output_shape


REFUSED = {
    "EfficientNetB0": ({"silu", "sigmoid"}, {"Multiply"}),
    "ConvNeXtTiny": ({"gelu"}, {"LayerNormalization"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_networks_that_are_not_piecewise_linear_are_refused_with_all_offending_layers(name):
    functions, kinds = REFUSED[name]
    model = getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3), classes=10)
    layers = [layer for layer in model._flatten_layers(include_self=False) if not isinstance(layer, keras.Model)]
    offending = {
        layer.name
        for layer in layers
        if type(layer).__name__ in kinds or getattr(getattr(layer, "activation", None), "__name__", None) in functions
    }
    with pytest.raises(tk.ConversionError, match="Cannot be mapped onto a TTFS network exactly") as error:
        tk.convert(model, np.zeros((2, 32, 32, 3)), input_range=(0, 255))
    lines = str(error.value).splitlines()
    assert f"({len(offending)} operations)" in lines[0] and len(offending) > 40
    assert 2 <= len(lines) <= 15
    named = [name.split(" (")[0] for line in lines[1:] for name in line.split(": ")[0].strip().split(", ")]
    # Layers of nested models carry the name of the model before theirs.
    assert all(any(name.endswith(own) for own in offending) for name in named)
