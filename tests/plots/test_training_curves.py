import numpy as np
import pytest

from ttfs_keras.plots import training_curves


def metrics_of(epochs, layers):
    epoch = np.arange(1, epochs + 1)
    metrics = {"epoch": epoch, "loss": 1 / epoch, "accuracy": 1 - 0.5 / epoch, "val_loss": 2 / epoch}
    metrics |= {"val_accuracy": 1 - 0.6 / epoch, "learning_rate": np.full(epochs, 1e-3)}
    metrics |= {f"window/conv{layer}": 1.0 + layer + 0.1 * epoch for layer in range(layers)}
    return {name: column.tolist() for name, column in metrics.items()}


@pytest.mark.parametrize(("epochs", "layers", "panels"), [(1, 2, 3), (30, 16, 3), (5, 0, 2)])
def test_panels(tmp_path, figure_of, drawn, epochs, layers, panels):
    path = tmp_path / "training.png"
    assert training_curves(metrics_of(epochs, layers), path) == path
    figure_of(path)
    (figure,) = drawn
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy", "window width (tau)"][:panels]
    for axes in figure.axes[:2]:
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["training", "validation"]
    if layers:
        assert len(figure.axes[-1].lines) == layers


def test_single_epoch_and_epochs_between_nan_have_markers(tmp_path, drawn):
    metrics = metrics_of(30, 0)
    metrics["val_loss"] = [value if epoch % 5 == 0 else np.nan for epoch, value in enumerate(metrics["val_loss"])]
    training_curves(metrics, tmp_path / "long.png")
    training_curves(metrics_of(1, 1), tmp_path / "short.png")
    training, validation = drawn[0].axes[0].lines
    assert training.get_marker() == "None" and len(training.get_xdata()) == 30
    assert validation.get_marker() == "o" and len(validation.get_xdata()) == 6
    assert all(line.get_marker() != "None" for axes in drawn[1].axes for line in axes.lines)


def test_column_of_nan_and_absent_columns(tmp_path, figure_of, drawn):
    training_curves(
        {"loss": [np.nan, np.inf], "val_accuracy": [0.5, 0.6], "window/a": [np.nan] * 2}, tmp_path / "a.png"
    )
    figure_of(tmp_path / "a.png")
    loss, accuracy, _ = drawn[0].axes
    assert loss.get_legend().get_texts()[0].get_text() == "training (no finite value)"
    assert accuracy.lines[0].get_xdata().tolist() == [1, 2]


def test_windows_of_very_different_width_get_a_logarithmic_axis(tmp_path, drawn):
    training_curves({"window/narrow": [1.0, 1.1], "window/_wide": [200.0, 210.0]}, tmp_path / "a.png")
    assert drawn[0].axes[0].get_yscale() == "log"
    assert len(drawn[0].axes[0].get_legend().get_texts()) == 2


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({}, "Received: metrics={}"),
        ({"loss": []}, "at least one epoch"),
        ({"loss": [1.0], "accuracy": [1.0, 2.0]}, "columns of one length"),
        ({"epoch": [1.0], "learning_rate": [1.0]}, "Expected a column loss, accuracy or window/<layer>"),
    ],
)
def test_bad_input_leaves_the_old_figure(tmp_path, metrics, message):
    path = tmp_path / "training.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=message):
        training_curves(metrics, path)
    assert path.read_bytes() == b"old"


def test_full_disk_leaves_the_old_figure(tmp_path, broken_disk):
    path = tmp_path / "training.png"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space"):
        training_curves(metrics_of(2, 1), path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
