"""From pixels to spikes."""

from typing import Any

import keras
from keras import ops

from ttfs_keras.network.encoding import checked_range, normalized
from ttfs_keras.ttfs import perturbation as perturbations
from ttfs_keras.ttfs.lead_times import LeadTimes


@keras.saving.register_keras_serializable(package="ttfs_keras")
class TTFSEncoder(LeadTimes, keras.layers.Layer):
    """Encode values as spikes in the window [0, 1]: the larger, the earlier; the lowest one stays silent.

        t = 1 - v,  lead time x = v = clip((value - p)/(q - p), 0, 1)

    Shapes: values `(batch, ...)` to lead times of the same shape, in window time.

    Args:
        input_range: (p, q), the range of the values. Values outside it are clipped; `tk.metric_card` counts them.
        perturbation: None, a `Perturbation` or a list of them.

    Raises:
        ValueError: input_range is not a pair of finite numbers with p < q.

    Example:
        >>> tk.TTFSEncoder(input_range=(-1.0, 1.0))(np.array([[-1.0, 0.0, 1.0, 7.0]])).numpy().tolist()
        [[0.0, 0.5, 1.0, 1.0]]
    """

    window = 1.0
    encodes = True

    def __init__(self, input_range: tuple[float, float] = (0.0, 1.0), perturbation: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.input_range = checked_range(input_range)
        self.perturbations = perturbations.get(perturbation, self.name)

    def build(self, input_shape):
        for item in self.perturbations:
            item.build(input_shape)

    def call(self, values):
        lead = normalized(ops.cast(values, self.compute_dtype), self.input_range)
        for item in self.perturbations:
            lead = item.perturb_spikes(lead, self.window)
        return lead

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = {"input_range": self.input_range, "perturbation": perturbations.serialize(self.perturbations)}
        return {**super().get_config(), **config}
