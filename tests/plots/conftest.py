from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

LAYERS = 16


@pytest.fixture
def figure_of():
    """Check that a path is a PNG that shows something, and return its pixels (height, width, RGBA)."""

    def read(path: Path) -> np.ndarray:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert [file.name for file in path.parent.iterdir()] == [path.name], "a temporary file was left"
        pixels = imread(path)
        assert pixels.ndim == 3 and pixels.shape[0] > 100 and pixels.shape[1] > 500
        assert pixels[..., :3].std() > 0.01, "an empty page"
        return pixels

    return read


@pytest.fixture
def deep_network():
    """Spike times and windows of 16 layers: feature maps, then vectors; about half of the neurons are silent."""
    random = np.random.default_rng(0)
    times, windows, start = {}, {}, 0.0
    for index in range(LAYERS):
        shape = (8, 8, 16) if index < 12 else (20,)
        width = 1.0 + index % 4
        lead = width * random.uniform(-1, 1, shape)
        times[f"conv{index}"] = np.where(lead > 0, start + width - lead, np.inf)
        windows[f"conv{index}"] = (start, start + width)
        start += width
    return times, windows


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved, for a look at their texts and artists."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(figure, *arguments, **keywords):
        figures.append(figure)
        save(figure, *arguments, **keywords)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


@pytest.fixture
def broken_disk(monkeypatch):
    """Saving a figure writes a few bytes and fails."""

    def fail(figure, path, **keywords):
        Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
