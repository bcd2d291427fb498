"""One column of a run's metrics over the epochs."""

from pathlib import Path

from matplotlib.ticker import MaxNLocator

from ttfs_keras.plots import drawing


def monitor(epochs, values, name, path, along="epoch"):
    """Draw a quantity over the epochs, or along something else, as a PNG.

    Args:
        epochs: (epochs,) numbers.
        values: (epochs,) values.
        name: of the quantity.
        path: PNG to write.
        along: what the numbers count.

    Returns:
        `path`.

    Raises:
        ValueError: epochs and values differ in length or are empty.
        OSError: `path` cannot be written; it is then what it was before.
    """
    if len(epochs) != len(values) or not len(values):
        raise ValueError(f"Expected a value for each of at least one epoch. Received: {len(epochs)}, {len(values)}")
    figure = drawing.new_figure(3.0)
    axes = figure.subplots()
    axes.plot(epochs, values, color=drawing.BLUE, marker="o", markersize=3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(along)
    axes.set_ylabel(drawing.label(name))
    return drawing.save_png(figure, Path(path))
