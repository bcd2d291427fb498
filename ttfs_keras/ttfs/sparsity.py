"""Fewer spikes: penalties of the spikes of a layer, and of a network's mean spikes per neuron, through plain `fit`."""

from typing import Any

import keras
import tensorflow as tf
from keras import activations, layers

from ttfs_keras import arguments
from ttfs_keras.network import raw
from ttfs_keras.network.activity import undivided
from ttfs_keras.network.graph import Call, Graph, as_functional
from ttfs_keras.network.spiking import spiking_calls
from ttfs_keras.ttfs.lead_times import LeadTimes
from ttfs_keras.ttfs.perturbation.perturbation import straight_through


def _mean(spikes: list[tf.Tensor], leads: list[tf.Tensor]) -> tf.Tensor:
    """Return spikes per neuron of some layers together, with the straight-through gradient; 0 if there are none."""
    counts = [_count(*pair) for pair in zip(spikes, leads, strict=True)]
    size = tf.add_n([tf.size(lead, tf.int64) for lead in leads])
    return tf.math.divide_no_nan(tf.add_n(counts), tf.cast(size, tf.float64))


def _count(spikes: tf.Tensor, lead: tf.Tensor) -> tf.Tensor:
    """Return the number of spikes of a layer; its gradient is that of (sum x)^2/(sum x^2), summed over samples."""
    # float64 holds any count. `relu` changes nothing but the gradient of 0, which is 0 then.
    lead = tf.cast(tf.nn.relu(lead), tf.float64)
    neurons = tuple(range(1, lead.shape.rank))
    hoyer = tf.math.divide_no_nan(tf.reduce_sum(lead, neurons) ** 2, tf.reduce_sum(lead**2, neurons))
    return straight_through(tf.reduce_sum(hoyer), tf.reduce_sum(tf.cast(spikes, tf.float64)))


@keras.saving.register_keras_serializable(package="ttfs_keras")
class LeadTimeL1(keras.regularizers.Regularizer):
    """Penalise the mean lead time of a layer relative to its window; for `activity_regularizer=`.

        penalty = strength mean_i(x_i / X)        over the batch (of a replica) and the neurons

    A layer adds the penalty to the loss, independent of the batch size: Keras 3.14 and later divide what an
    `activity_regularizer` returns by the batch size, and a call then returns the penalty times it.

    Shapes: lead times `(batch, neurons...)` to a scalar.

    Args:
        strength: >= 0.
        window: X in window time, > 0. A regularizer sees no windows; 1 for networks of `convert(windows="unit")`.

    Raises:
        ValueError: an argument is outside its range.

    Example:
        >>> layer = tk.TTFSDense(2, activity_regularizer=tk.ttfs.LeadTimeL1(0.1))
        >>> layer(np.ones((3, 4))).shape, len(layer.losses)
        (TensorShape([3, 2]), 1)
    """

    def __init__(self, strength: float = 0.01, window: float = 1.0):
        arguments.require(
            "LeadTimeL1",
            (arguments.finite(strength, 0), "strength >= 0, finite", f"strength={strength}"),
            (arguments.positive(window), "window > 0, finite", f"window={window}"),
        )
        self.strength = strength
        self.window = window

    def __call__(self, lead: tf.Tensor) -> tf.Tensor:
        """Return the penalty of lead times, times the batch size if Keras divides by it."""
        lead = tf.convert_to_tensor(lead)
        mean = tf.math.divide_no_nan(tf.reduce_sum(lead), tf.cast(tf.size(lead), lead.dtype))
        return undivided(self.strength * mean / self.window, lead)

    def get_config(self):
        return {"strength": self.strength, "window": self.window}


@keras.saving.register_keras_serializable(package="ttfs_keras")
class SpikesPerNeuron(keras.regularizers.Regularizer):
    """Penalise spikes per neuron of a layer above a target; for `activity_regularizer=`.

        penalty = strength max(mean_i s_i - target, 0),  s_i = 1 if x_i > 0, else 0

    with the straight-through gradient of the effective number of spikes of a sample,

        sum_i s_i ~ (sum_i x_i)^2 / sum_i x_i^2

    which makes late spikes later until they are silent, and early ones earlier. Like the count it does not depend on
    the unit of lead times, where L1 would merely shrink all of them. There is none at and below the target. What a
    layer adds to the loss is independent of the batch size, see `LeadTimeL1`. `sparsify` does the same to the mean of a
    whole network. Source of the effective number: Hoyer, JMLR 5 (2004); for activations: Kurtz et al., ICML 2020.

    Shapes: lead times `(batch, neurons...)` to a scalar.

    Args:
        target: spikes per neuron, 0 to 1.
        strength: >= 0.

    Raises:
        ValueError: an argument is outside its range.

    Example:
        >>> regularizer = tk.ttfs.SpikesPerNeuron(target=0.25, strength=2.0)
        >>> float(regularizer(np.array([[0.0, 0.5, 0.0, 0.1]])))
        0.5
    """

    def __init__(self, target: float = 0.3, strength: float = 1.0):
        arguments.require(
            "SpikesPerNeuron",
            (arguments.finite(target, 0) and target <= 1, "target from 0 to 1", f"target={target}"),
            (arguments.finite(strength, 0), "strength >= 0, finite", f"strength={strength}"),
        )
        self.target = target
        self.strength = strength

    def __call__(self, lead: tf.Tensor) -> tf.Tensor:
        """Return the penalty of lead times, times the batch size if Keras divides by it."""
        lead = tf.convert_to_tensor(lead)
        mean = _mean([lead > 0], [lead])
        return undivided(tf.cast(self.strength * tf.nn.relu(mean - self.target), lead.dtype), lead)

    def get_config(self):
        return {"target": self.target, "strength": self.strength}


def sparsify(model: keras.Model, spikes_per_neuron: float = 0.3, strength: float = 5.0) -> keras.Model:
    """Return a network that shares all layers with a model and whose `fit` also brings down its spikes per neuron.

        loss = task + strength max(r - target, 0),  r = sum of spikes / (samples sum of neurons)

    r is the card's `spikes_per_neuron` on the batch (of a replica): of all neurons but those of encoders, each counting
    once. Its gradient is the straight-through one of `SpikesPerNeuron`, layer by layer. Where r is at or below the
    target there is none, so that training settles there. `fit` and `evaluate` report r as `spikes_per_neuron`.

    Of a ReLU network, trained to be mapped later, activations above 0 are the spikes.

    The layers are shared: the model itself is trained too, and is what to save, convert or run afterwards. The result
    saves and loads with the penalty as well. Penalties that `model` has from an earlier call are replaced.

    Args:
        model: Functional model, or built Sequential model, of TTFS layers or of ReLU; models within it are looked into.
        spikes_per_neuron: the target, 0 to 1.
        strength: >= 0, of the penalty.

    Raises:
        ValueError: an argument is outside its range, or the model has no neurons of these kinds.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), tk.TTFSEncoder(), tk.TTFSDense(8), tk.TTFSReadout(3)])
        >>> sparse = tk.ttfs.sparsify(model, spikes_per_neuron=0.2)
        >>> sparse.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> history = sparse.fit(np.ones((6, 4)), np.zeros(6, int), verbose=0).history
        >>> sorted(history)
        ['loss', 'spikes_per_neuron']
    """
    model = as_functional(model)
    return _SparseNetwork(
        model.input, model.output, name=model.name, spikes_per_neuron=spikes_per_neuron, strength=strength
    )


def unpenalized(model: keras.Model) -> keras.Model:
    """Return a network of `sparsify` without its penalty, sharing all layers; any other model as it is."""
    return keras.Model(model.input, model.output, name=model.name) if isinstance(model, _SparseNetwork) else model


@keras.saving.register_keras_serializable(package="ttfs_keras", name="SparseNetwork")
class _SparseNetwork(keras.Model):
    """What `sparsify` returns: a Functional model of the same graph that adds the penalty when it is called.

    `*args, **kwargs` make Keras restore it as a Functional model.
    """

    def __init__(self, *args, spikes_per_neuron, strength, **kwargs):
        arguments.require(
            "sparsify",
            (
                arguments.finite(spikes_per_neuron, 0) and spikes_per_neuron <= 1,
                "spikes_per_neuron from 0 to 1",
                f"spikes_per_neuron={spikes_per_neuron}",
            ),
            (arguments.finite(strength, 0), "strength >= 0, finite", f"strength={strength}"),
        )
        super().__init__(*args, **kwargs)
        graph = Graph(self)
        neurons = _neurons(graph)
        # A method, which Keras does not track as it would the model.
        self._probe = graph.probe([call.outputs[0] for call in neurons]).__call__
        self.penalty = _Penalty([call.operation for call in neurons], spikes_per_neuron, strength)

    def call(self, inputs, training=None, mask=None):
        outputs, leads = self._probe(inputs, training=training, mask=mask)
        self.penalty(leads)
        return outputs

    def get_config(self):
        own = {"spikes_per_neuron": self.penalty.target, "strength": self.penalty.strength}
        return {**super().get_config(), **own}


class _Penalty(keras.layers.Layer):
    """Adds the loss and the metric: a Functional model has no `add_loss` of its own."""

    def __init__(self, neurons, target, strength):
        super().__init__(name="penalty", autocast=False)
        self._fired = [getattr(neuron, "spike_counts", _above_0) for neuron in neurons]
        self.target, self.strength = target, strength
        self.rate = keras.metrics.Mean(name="spikes_per_neuron")

    def call(self, leads):
        rate = _mean([fired(lead) for fired, lead in zip(self._fired, leads, strict=True)], leads)
        self.rate.update_state(rate, sample_weight=tf.shape(leads[0])[0])
        # Keras wants all parts of the loss in its `floatx`.
        self.add_loss(tf.cast(self.strength * tf.nn.relu(rate - self.target), keras.config.floatx()))
        return rate


def _neurons(graph: Graph) -> list[Call]:
    """Return the calls of layers of TTFS neurons or, where nothing spikes, of ReLU."""
    spiking = spiking_calls(graph)
    found = [call for call in spiking or graph.calls if _rectifies(call.operation) or _spikes_once(call.operation)]
    if not found or any(not isinstance(call.operation, LeadTimes) for call in spiking):
        received = sorted({type(call.operation).__name__ for call in graph.calls})
        raise ValueError(f"sparsify: expected a model with TTFS neurons or ReLU. Received: {', '.join(received)}")
    return found


def _spikes_once(operation: Any) -> bool:
    return isinstance(operation, LeadTimes) and not operation.encodes


def _rectifies(operation: Any) -> bool:
    if isinstance(operation, layers.ReLU):
        return not operation.negative_slope
    relu = getattr(operation, "activation", None) in (activations.relu, activations.relu6)
    return relu or isinstance(operation, raw.RELU | raw.RELU6)


def _above_0(activations):
    return activations > 0
