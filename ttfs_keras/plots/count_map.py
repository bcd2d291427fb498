"""How often each neuron spikes for each class."""

from pathlib import Path

import numpy as np

from ttfs_keras.plots import drawing


def count_map(counts: np.ndarray, name: str, path: str | Path) -> Path:
    """Draw the mean spike counts of a layer's neurons by class as a PNG.

    Args:
        counts: (classes, neurons) mean spikes per sample; NaN for classes without samples.
        name: of the layer.
        path: PNG to write.

    Returns:
        `path`.

    Raises:
        ValueError: not two axes, or nothing on them.
        OSError: `path` cannot be written; it is then what it was before.

    Example:
        >>> import pathlib, tempfile
        >>> from ttfs_keras import plots
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plots.count_map(np.ones((10, 4)), "hidden", pathlib.Path(folder) / "a.png").name
        'a.png'
    """
    counts = np.asarray(counts)
    if counts.ndim != 2 or not counts.size:
        raise ValueError(f"Expected counts (classes, neurons), at least one. Received: shape={counts.shape}")
    figure = drawing.new_figure(3.2)
    axes = figure.subplots()
    image = axes.imshow(counts, aspect="auto", interpolation="nearest", vmin=0)
    figure.colorbar(image, label="spikes per image")
    axes.set_xlabel(f"neuron of {drawing.label(name)}")
    axes.set_ylabel("class")
    return drawing.save_png(figure, Path(path))
