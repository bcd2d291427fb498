import math

import pytest

from ttfs_keras.plots import read_metrics


def test_columns_in_order_and_empty_cells_as_nan(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,loss,val_loss,window/conv1\n1,0.5,,2.0\n\n2,1e-3,nan,2.5\n", encoding="utf-8")
    metrics = read_metrics(path)
    assert list(metrics) == ["epoch", "loss", "val_loss", "window/conv1"]
    assert metrics["epoch"] == [1.0, 2.0]
    assert metrics["loss"] == [0.5, 0.001]
    assert all(map(math.isnan, metrics["val_loss"]))
    assert metrics["window/conv1"] == [2.0, 2.5]


def test_header_alone_has_no_epochs(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,loss\n", encoding="utf-8")
    assert read_metrics(str(path)) == {"epoch": [], "loss": []}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expected a header"),
        ("loss,loss\n1,2\n", "distinct column names"),
        ("epoch,loss\n1,0.5\n2\n", "Expected 2 cells in line 3"),
        ("epoch,loss\n1,0.5,7\n", "Received: 3"),
        ("epoch,loss\n1,low\n", "column 'loss', line 2"),
    ],
)
def test_damaged_file_is_one_clear_error(tmp_path, text, message):
    path = tmp_path / "metrics.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_metrics(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_metrics(tmp_path / "metrics.csv")
