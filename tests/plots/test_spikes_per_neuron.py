import numpy as np
import pytest

from ttfs_keras.plots import spikes_per_neuron


def test_sixteen_layers(tmp_path, figure_of, drawn):
    rates = {f"conv{layer}": np.float32(layer / 16) for layer in range(16)}
    path = tmp_path / "spikes.png"
    assert spikes_per_neuron(rates, path, overall=0.4) == path
    figure_of(path)
    (axes,) = drawn[0].axes
    assert [text.get_text() for text in axes.get_yticklabels()] == list(rates)
    assert [bar.get_width() for bar in axes.patches] == list(rates.values())
    assert [text.get_text() for text in axes.texts] == [f"{rate:.3g}" for rate in rates.values()]
    (line,) = axes.lines
    assert line.get_linestyle() == "--" and set(line.get_xdata()) == {0.4}


@pytest.mark.parametrize(("rate", "overall"), [(0.0, 0.0), (0.2, 0.2), (17.25, 30.0)])
def test_one_layer_of_any_rate(tmp_path, figure_of, drawn, rate, overall):
    spikes_per_neuron({"only": rate}, tmp_path / "spikes.png", overall)
    figure_of(tmp_path / "spikes.png")
    assert drawn[0].axes[0].get_xlim()[1] > max(rate, overall)


@pytest.mark.parametrize(
    ("rates", "overall", "message"),
    [
        ({}, 0.1, "Received: rates={}"),
        ({"a": 0.1, "b": np.nan}, 0.1, r"Received: \[\('b', nan\)\]"),
        ({"a": -0.1}, 0.1, "'a', -0.1"),
        ({"a": 0.1}, np.inf, "'overall', inf"),
    ],
)
def test_bad_input_leaves_the_old_figure(tmp_path, rates, overall, message):
    path = tmp_path / "spikes.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=message):
        spikes_per_neuron(rates, path, overall)
    assert path.read_bytes() == b"old"


def test_full_disk_leaves_the_old_figure(tmp_path, broken_disk):
    path = tmp_path / "spikes.png"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space"):
        spikes_per_neuron({"a": 0.5}, path, 0.5)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
