"""The base of all layers of spike trains."""

from typing import Any

import keras

HALF = ("float16", "bfloat16")


class SpikeTrainLayer(keras.layers.Layer):
    """Base of layers of spike trains: `(batch, neurons..., K)` times in seconds, ascending, padded with inf.

    Times need float32 or float64: half precision resolves 0.1 s to no better than 0.06 ms, and 100 s to 0.06 s. Under a
    global half-precision policy these layers use float32.

    Raises:
        ValueError: dtype is a half-precision one.
    """

    def __init__(self, dtype: Any = None, **kwargs: Any):
        policy = keras.dtype_policies.get(dtype)
        if policy.compute_dtype in HALF:
            if dtype is not None:
                raise ValueError(f"Spike times need dtype float32 or float64. Received: dtype={policy.name}")
            policy = keras.dtype_policies.get("float32")
        super().__init__(dtype=policy, **kwargs)

    def check_rank(self, shape: tuple, layout: str) -> None:
        """Raise ValueError unless a shape has the rank of a layout such as "(batch, neurons..., K)" and a known K.

        Args:
            shape: of the inputs.
            layout: comma-separated axes; "neurons..." stands for one or more.
        """
        rank = layout.count(",") + 1
        if not (len(shape) == rank or ("..." in layout and len(shape) > rank)) or shape[-1] is None:
            raise ValueError(f"{self.name} expects spike trains {layout} of known K. Received: shape={tuple(shape)}")
