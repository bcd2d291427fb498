import pytest

from ttfs_keras.plots import layer_errors


def test_every_layer_has_its_mark(tmp_path, figure_of, drawn):
    errors = {"conv": 0.0, "dense": 1e-6, "broken": 3.0}
    path = tmp_path / "errors.png"
    assert layer_errors(errors, path) == path
    figure_of(path)
    (axes,) = drawn[0].axes
    assert [text.get_text() for text in axes.get_yticklabels()] == list(errors)
    (line,) = axes.lines
    x = list(line.get_xdata())
    assert x[1:] == [1e-6, 3.0] and 0 < x[0] < 1e-15
    low, high = axes.get_xlim()
    assert low < min(x) and high > max(x)


@pytest.mark.parametrize("errors", [{}, {"a": -1.0}, {"a": float("nan")}])
def test_what_is_no_error_is_refused(tmp_path, errors):
    with pytest.raises(ValueError, match="Received"):
        layer_errors(errors, tmp_path / "errors.png")
    assert not list(tmp_path.iterdir())
