"""Statistics of batch norms from data, without training."""

from typing import Any

import keras
import numpy as np

from ttfs_keras.network.graph import layers_of
from ttfs_keras.network.inputs import Inputs
from ttfs_keras.stbp.tdbn import ThresholdDependentBatchNormalization

SETTLED = 1e-4  # share of their first values in moving statistics from which on these are trusted


def unsettled(model: keras.Model) -> list[ThresholdDependentBatchNormalization]:
    """Return the tdBN layers of a model whose moving statistics still come from too few training steps.

    After n steps momentum^n of the first values is left; layers that are frozen keep what they have.
    """
    norms = layers_of(model, ThresholdDependentBatchNormalization)
    return [layer for layer in norms if layer.trainable and layer.momentum ** int(layer.steps) > SETTLED]


def reestimate_statistics(model: keras.Model, data: Any, batch_size: int = 64) -> keras.Model:
    """Give all tdBN layers of a model the statistics that they have on data, and return it; no other weight changes.

    After a few training steps the moving averages still hold much of their initial values, and a network is then much
    worse in inference than in training. The mean and variance of each layer are the averages over the batches, each
    weighed by its samples, of what the layer normalizes by in training.

    Args:
        model: `keras.Model` with `ThresholdDependentBatchNormalization` layers, frozen or not.
        data: inputs, see `ttfs_keras.network.inputs.Inputs`.
        batch_size: samples at a time, as in training.

    Raises:
        ValueError: the model has no such layer, or data do not fit it.

    Example:
        >>> norm = stbp.ThresholdDependentBatchNormalization(0.4)
        >>> model = keras.Sequential([keras.Input((2, 1)), norm])
        >>> model = stbp.reestimate_statistics(model, np.array([[[1.0], [3.0]]]))
        >>> norm.moving_mean.numpy().tolist(), norm.moving_variance.numpy().tolist()
        ([2.0], [1.0])
    """
    norms = layers_of(model, ThresholdDependentBatchNormalization)
    if not norms:
        raise ValueError(f"reestimate_statistics: expected a model with tdBN layers. Received: {model.name}")
    kept = [(layer, layer.momentum, layer.trainable) for layer in norms]
    state = [(variable, np.array(variable)) for variable in model.non_trainable_variables]
    totals, samples = [[np.zeros(n.moving_mean.shape), np.zeros(n.moving_mean.shape)] for n in norms], 0
    try:
        for layer in norms:
            layer.momentum, layer.trainable = 0.0, True  # the moving statistics become the batch's
        for batch in Inputs(model, data, batch_size):
            model(batch if len(batch) > 1 else batch[0], training=True)
            samples += len(batch[0])
            for layer, total in zip(norms, totals, strict=True):
                total[0] += len(batch[0]) * np.array(layer.moving_mean, np.float64)
                total[1] += len(batch[0]) * np.array(layer.moving_variance, np.float64)
    finally:
        for layer, momentum, trainable in kept:
            layer.momentum, layer.trainable = momentum, trainable
        for variable, value in state:  # counters of random draws too, and the statistics if data end in an error
            variable.assign(value)
    for layer, (mean, variance) in zip(norms, totals, strict=True):
        layer.moving_mean.assign(mean / samples)
        layer.moving_variance.assign(variance / samples)
        layer.steps.assign(np.maximum(layer.steps, 1))
    return model
