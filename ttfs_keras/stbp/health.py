"""Whether a spiking network can learn: a callback that looks at potentials, rates and gradients."""

import logging
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ttfs_keras.network.graph import Graph
from ttfs_keras.stbp.lif import LIF
from ttfs_keras.stbp.tdbn import ThresholdDependentBatchNormalization, check_trained

_LOG = logging.getLogger("ttfs_keras")


class HealthCheck(keras.callbacks.Callback):
    """Measure a sample after every epoch, add the numbers to the epoch's `logs`, and warn in words.

    Logs, each of a `LIF` layer or of a block, which is what layers' names begin with, up to the first "_":

        health/inside/<layer>    share of potentials where the surrogate is more than half as high as at its peak
        health/rate/<layer>      spikes per neuron and time step
        health/mean/<norm>       distance of a sample's mean to the moving one of a tdBN layer, in moving standard
                                 deviations, as root mean square over channels
        health/variance/<norm>   sample's variance over the moving one, as geometric mean over channels
        health/gradient/<block>  L2 norm of the loss's gradient by the block's weights
        health/silent_layers, health/saturated_layers

    Everything is evaluated in inference mode, so that training goes on as without the callback, but for the draws of a
    random encoder. Put it before callbacks that write logs, such as `CSVLogger`. An evaluation with batch norms that no
    training step has seen is warned of.

    Args:
        x: inputs `(samples, ...)`, at least 2; some dozens are enough.
        y: labels `(samples,)` or what the model's loss takes.
        silent: rate below which a layer counts as silent.
        saturated: rate above which a layer counts as saturated.
        shift: distance of means above which the statistics of a tdBN layer are warned of; as are variances that differ
            by a factor of more than 1 + `shift`.

    Raises:
        ValueError: x and y differ in length, or are fewer than 2.

    Example:
        >>> layers = [keras.layers.Dense(3, name="dense"), stbp.LIF(name="lif"), stbp.MeanOverTime()]
        >>> model = keras.Sequential([keras.Input((2, 3)), *layers])
        >>> model.compile("sgd", "mse")
        >>> x, y = np.ones((4, 2, 3)), np.ones((4, 3))
        >>> history = model.fit(x, y, verbose=0, callbacks=[stbp.HealthCheck(x, y)])
        >>> [name for name in history.history if name.startswith("health/rate")]
        ['health/rate/lif']
    """

    def __init__(self, x: Any, y: Any, silent: float = 1e-3, saturated: float = 0.95, shift: float = 1.0):
        super().__init__()
        if len(x) != len(y) or len(x) < 2:
            raise ValueError(f"Expected as many labels as inputs, and at least 2. Received: {len(y)} and {len(x)}")
        self.x = x
        self.y = y
        self.silent = silent
        self.saturated = saturated
        self.shift = shift

    def on_train_begin(self, logs=None):
        graph = Graph(self.model)
        self._graph, self._neurons = graph, graph.once(LIF)
        self._norms = graph.once(ThresholdDependentBatchNormalization)
        self._blocks: dict[str, list] = {}
        for layer in graph.model.layers:
            self._blocks.setdefault(layer.name.partition("_")[0], []).extend(layer.trainable_variables)
        self._measure = tf.function(self._measured)

    def _measured(self, x, y):
        with tf.GradientTape() as tape:
            tensors = self._graph.run([x])
            outputs = tensors[self._graph.outputs[0]]
            loss = self.model.compute_loss(x=x, y=y, y_pred=outputs)
        variables = [variable.value for block in self._blocks.values() for variable in block]
        gradients = iter(tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO))
        norms = [tf.linalg.global_norm([next(gradients) for _ in block]) for block in self._blocks.values() if block]
        inside, rates = [], []
        for call in self._neurons.values():
            layer, inputs, spikes = call.operation, tensors[call.inputs[0]], tensors[call.outputs[0]]
            overdrive = layer.potentials(inputs) - layer.parameters(inputs.dtype)[0]
            inside.append(tf.reduce_mean(tf.cast(layer.surrogate.inside(overdrive), tf.float32)))
            rates.append(tf.reduce_mean(spikes))
        return inside, rates, norms, [self._differences(call, tensors) for call in self._norms.values()], outputs

    def _differences(self, call, tensors):
        """Return how far mean and variance of a batch norm's inputs are from the moving ones."""
        layer, inputs = call.operation, tensors[call.inputs[0]]
        mean, variance = tf.nn.moments(tf.cast(inputs, layer.moving_mean.dtype), list(range(inputs.shape.rank - 1)))
        moving = layer.moving_variance + layer.epsilon
        distance = tf.sqrt(tf.reduce_mean((mean - layer.moving_mean) ** 2 / moving))
        return distance, tf.exp(tf.reduce_mean(tf.math.log((variance + layer.epsilon) / moving)))

    def on_epoch_end(self, epoch, logs=None):
        inside, rates, norms, differences, outputs = self._measure(
            tf.convert_to_tensor(self.x), tf.convert_to_tensor(self.y)
        )
        inside = dict(zip(self._neurons, map(float, inside), strict=True))
        rates = dict(zip(self._neurons, map(float, rates), strict=True))
        trained = [name for name, block in self._blocks.items() if block]
        silent = [name for name, rate in rates.items() if rate < self.silent]
        saturated = [name for name, rate in rates.items() if rate > self.saturated]
        found = {f"health/inside/{name}": share for name, share in inside.items()}
        found |= {f"health/rate/{name}": rate for name, rate in rates.items()}
        found |= {f"health/gradient/{name}": float(norm) for name, norm in zip(trained, norms, strict=True)}
        found |= {"health/silent_layers": float(len(silent)), "health/saturated_layers": float(len(saturated))}
        moved = {name: tuple(map(float, both)) for name, both in zip(self._norms, differences, strict=True)}
        for name, (distance, ratio) in moved.items():
            found |= {f"health/mean/{name}": distance, f"health/variance/{name}": ratio}
        if logs is not None:
            logs.update(found)
        blind = [name for name, share in inside.items() if not share]
        self._warn(epoch + 1, silent, saturated, blind, np.asarray(outputs))
        self._warn_of_statistics(epoch + 1, moved)

    def _warn_of_statistics(self, epoch, moved):
        far = [
            f"{name} ({distance:.2g}, {ratio:.2g})"
            for name, (distance, ratio) in moved.items()
            if not (distance <= self.shift and 1 / (1 + self.shift) <= ratio <= 1 + self.shift)
        ]
        if far:
            _LOG.warning(
                "epoch %d: moving statistics are not those of the sample; layers, with the distance of its mean in "
                "moving standard deviations, and its variance as a multiple of the moving one: %s. Train on, or call "
                "stbp.reestimate_statistics",
                epoch, ", ".join(far),
            )  # fmt: skip

    def _warn(self, epoch, silent, saturated, blind, outputs):
        if silent:
            _LOG.warning("epoch %d: silent layers: %s", epoch, ", ".join(silent))
        if saturated:
            _LOG.warning("epoch %d: saturated layers: %s", epoch, ", ".join(saturated))
        if blind:
            _LOG.warning(
                "epoch %d: no potential lies inside the surrogate's window, so that hardly a gradient passes: %s",
                epoch, ", ".join(blind),
            )  # fmt: skip
        if np.ptp(outputs, axis=0).max() <= 1e-6:
            classes = outputs.shape[-1]
            _LOG.warning(
                "epoch %d: all outputs are silent: they are the same for every sample, and with %d classes that are "
                "equally frequent the loss cannot fall below ln(%d) = %.4f. Silent layers: %s. A lower threshold, a "
                "wider surrogate or batch norms before the neurons make them fire",
                epoch, classes, classes, math.log(classes), ", ".join(silent) or "none",
            )  # fmt: skip

    def on_test_begin(self, logs=None):
        """Warn of batch norms without statistics."""
        try:
            check_trained(self.model)
        except ValueError as error:
            _LOG.warning("%s", error)
