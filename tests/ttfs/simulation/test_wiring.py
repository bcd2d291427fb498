import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttfs_keras.ttfs.simulation.wiring import axis_taps, image_taps


def test_same_padding_puts_the_odd_pixel_behind():
    assert axis_taps(3, 2, padding="same").tolist() == [[0, 1], [1, 2], [2, 3]]
    assert axis_taps(4, 3, stride=2, padding="same").tolist() == [[0, 1, 2], [2, 3, 4]]
    assert axis_taps(3, 3, dilation=2, padding="same").tolist() == [[-2, 0, 2], [-1, 1, 3], [0, 2, 4]]
    assert axis_taps(1, 5, padding="same").tolist() == [[-2, -1, 0, 1, 2]]


def test_valid_windows_lie_inside():
    assert axis_taps(5, 3).tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert axis_taps(5, 2, stride=2).tolist() == [[0, 1], [2, 3]]
    assert axis_taps(5, 2, dilation=3).tolist() == [[0, 3], [1, 4]]


def test_pixels_of_a_small_image():
    taps, shape = image_taps((2, 3), (1, 2), padding="same")
    assert shape == (2, 3)
    assert taps.tolist() == [[0, 1], [1, 2], [2, 6], [3, 4], [4, 5], [5, 6]]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_taps_are_keras_taps(padding, data):
    """A convolution with a one-hot kernel reads one tap."""
    draw = data.draw
    size = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    strides = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) if strides == (1, 1) else (1, 1)
    if padding == "valid":
        size = tuple(max(n, (k - 1) * d + 1) for n, k, d in zip(size, kernel, dilation, strict=True))
    taps, shape = image_taps(size, kernel, strides, dilation, padding)
    count = kernel[0] * kernel[1]
    one_hot = np.eye(count).reshape(*kernel, 1, count)
    # Pixels count from 1, so that the padding's 0 is none of them.
    image = np.arange(1.0, size[0] * size[1] + 1).reshape(1, *size, 1)
    read = np.asarray(keras.ops.conv(image, one_hot, strides, padding, dilation_rate=dilation))
    assert read.shape[1:3] == shape
    expected = np.where(taps == size[0] * size[1], 0, taps + 1)
    np.testing.assert_array_equal(read.reshape(expected.shape), expected)
