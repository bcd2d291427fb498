import numpy as np
import pytest

from ttfs_keras.plots.heat_map import heat_map

LABELS = {"row_label": "deviation", "column_label": "mean", "value_label": "accuracy (%)"}
VALUES = np.array([[50.0, 60, 70], [80, 90, 100]])


def draw(path, values=VALUES, rows=(0.0, 0.2), columns=(0, 1, 2), **arguments):
    return heat_map(values, rows, columns, path, **{**LABELS, **arguments})


def test_png_shows_every_value(tmp_path, figure_of, drawn):
    path = tmp_path / "map.png"
    assert draw(path) == path
    figure_of(path)
    axes, bar = drawn[0].axes
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array(), VALUES)
    assert image.get_clim() == (50, 100) and image.origin == "lower"
    assert {t.get_position(): t.get_text() for t in axes.texts} == {
        (column, row): f"{VALUES[row, column]:.3g}" for row in range(2) for column in range(3)
    }
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "1", "2"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0", "0.2"]
    assert (axes.get_xlabel(), axes.get_ylabel(), bar.get_ylabel()) == ("mean", "deviation", "accuracy (%)")


def test_pdf_is_the_same_file_for_the_same_numbers(tmp_path):
    first, second = (draw(tmp_path / name).read_bytes() for name in ("a.pdf", "b.pdf"))
    assert first.startswith(b"%PDF") and first.rstrip().endswith(b"%%EOF") and first == second
    assert {file.name for file in tmp_path.iterdir()} == {"a.pdf", "b.pdf"}


@pytest.mark.parametrize("value", [0.0, 50.0])
def test_one_cell_and_given_limits(tmp_path, figure_of, drawn, value):
    draw(tmp_path / "map.png", [[value]], [1], [1], limits=(0, 100))
    figure_of(tmp_path / "map.png")
    assert drawn[0].axes[0].images[0].get_clim() == (0, 100)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": np.zeros((3, 2))}, r"for 2 rows and 3 columns, at least one. Received: shape=\(3, 2\)"),
        ({"values": np.zeros((0, 0)), "rows": (), "columns": ()}, "at least one"),
        ({"values": np.where(VALUES == 60, np.nan, VALUES)}, "Received: 1 of 6 not finite"),
    ],
)
def test_bad_input_leaves_the_old_figure(tmp_path, arguments, message):
    path = tmp_path / "map.pdf"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=message):
        draw(path, **arguments)
    assert path.read_bytes() == b"old"


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"ends in .pdf or .png. Received: .*map.svg"):
        draw(tmp_path / "map.svg")


@pytest.mark.parametrize("suffix", ["pdf", "png"])
def test_full_disk_leaves_the_old_figure(tmp_path, broken_disk, suffix):
    path = tmp_path / f"map.{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space"):
        draw(path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
