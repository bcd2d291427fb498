"""The embedded data set: 1,797 handwritten digits, 1,437 for training and 360 for testing."""

from pathlib import Path

import numpy as np

from ttfs_keras.data import checks

# E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998, CC BY 4.0: the images that
# scikit-learn's `load_digits` has, in the order of
# `train_test_split(images, target, test_size=360, stratify=target, random_state=0)`.
_FILE = Path(__file__).with_name("digits.npz")
_SIZE = 28


def read() -> checks.Splits:
    """Return the digits, upsampled from 8x8 to 28x28 so that whatever runs on MNIST runs on them.

    Returns:
        Pixels (n, 28, 28, 1) float64 in 0..16, labels (n,) int64.
    """
    with np.load(_FILE, allow_pickle=False) as file:
        return checks.Splits(
            upsample(file["x_train"], _SIZE),
            file["y_train"].astype(np.int64),
            upsample(file["x_test"], _SIZE),
            file["y_test"].astype(np.int64),
        )


def upsample(images: np.ndarray, size: int) -> np.ndarray:
    """Resize square images bilinearly, with half-pixel centres as `tf.image.resize` has them.

    Args:
        images: (n, side, side).
        size: side of the result.

    Returns:
        (n, size, size, 1) float64.
    """
    matrix = _interpolation(images.shape[-1], size)
    resized = matrix @ images.astype(np.float64) @ matrix.T
    # Rounding may carry a sum of weights past 1, and so a full pixel past the end of the input range.
    return np.clip(resized, images.min(), images.max())[..., np.newaxis]


def _interpolation(source: int, target: int) -> np.ndarray:
    """Return the (target, source) matrix of linear interpolation; each row sums to 1."""
    centres = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    return np.maximum(0.0, 1.0 - np.abs(centres[:, np.newaxis] - np.arange(source)))
