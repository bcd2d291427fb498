import pytest

import ttfs_keras as tk
from ttfs_keras.models import relu_model, vgg16
from ttfs_keras.models.families import parse


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("FC2_example", ("FC2", False)),
        ("my_fc2", ("FC2", False)),
        ("FC2_BN", ("FC2", True)),
        ("VGG_example_train", ("VGG", False)),
        ("VGG_BN_example", ("VGG", True)),
        ("vgg16_bn", ("VGG", True)),
        ("vgg_bn", ("VGG", True)),
        ("FC2_SUBNET", ("FC2", False)),
        ("BN_FC2", ("FC2", True)),
        ("FC2_example_train", ("FC2", False)),
        ("ResNet19", ("ResNet19", False)),
        ("my_resnet9_run", ("ResNet9", False)),
        ("Custom", ("custom", False)),
    ],
)
def test_names(name, expected):
    assert parse(name) == expected


@pytest.mark.parametrize("name", ["", "LeNet", "ResNet50", "FC", "myFC2", "customer", "ResNet190"])
@pytest.mark.parametrize("use", [parse, lambda name: relu_model(name, (28, 28, 1), 10)])
def test_unknown_family(name, use):
    with pytest.raises(tk.ConfigurationError, match=f"model_name: expected .*FC2, VGG.* Received: {name!r}"):
        use(name)


def test_fc2_takes_width_depth_and_dtype():
    model = relu_model("FC2_BN_x", (4, 4, 1), 3, units=6, depth=4, dtype="float64")
    assert [w.shape for w in model.trainable_variables if "kernel" in w.path] == [(16, 6), (6, 6), (6, 6), (6, 3)]
    assert len([layer for layer in model.layers if layer.name.startswith("norm_")]) == 3
    assert model.outputs[0].dtype == "float64" and model.name == "fc2"


@pytest.mark.parametrize("name", ["VGG", "VGG_BN"])
def test_vgg_takes_dtype_and_batch_norm(monkeypatch, name):
    monkeypatch.setattr(vgg16, "MNIST", (((2,), (2,)), (3,)))
    model = relu_model(name, (16, 16, 1), 5, dtype="float64")
    assert model.name == "vgg16" and model.output_shape == (None, 5) and model.outputs[0].dtype == "float64"
    assert any("norm" in layer.name for layer in model.layers) == (name == "VGG_BN")
