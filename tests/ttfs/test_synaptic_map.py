"""Composite synapses against the explicit matrix that the layers' weights give."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import ttfs_keras as tk
from tests.layer_harness import lead_times
from tests.tolerances import FLOAT64
from ttfs_keras.ttfs.affine import Affine
from ttfs_keras.ttfs.synaptic_map import Populations

layers = keras.layers
SHAPE = (4, 5, 2)


def add(lead):
    return layers.Add()([layers.Conv2D(3, 3, padding="same")(lead), Affine()(layers.Conv2D(3, 1)(lead))])


def subtract(lead):
    return layers.Subtract()([layers.Conv2D(3, (3, 2), strides=2)(lead), layers.Conv2D(3, (3, 3), strides=2)(lead)])


def concatenate(lead):
    branches = [layers.AveragePooling2D(3, 1, "same")(lead), layers.DepthwiseConv2D(3, padding="same")(lead), lead]
    return Affine((4, 5, 6))(layers.Concatenate()(branches))


def pooled(lead):
    joined = layers.ZeroPadding2D(1)(layers.Cropping2D(1)(layers.SeparableConv2D(3, 2)(lead)))
    return layers.GlobalAveragePooling2D(keepdims=True)(joined)


def dense(lead):
    return layers.Average()([layers.Dense(3)(layers.Flatten()(lead)), layers.Dense(3)(layers.Reshape((40,))(lead))])


def same(lead):
    return layers.Conv2DTranspose(2, 2)(layers.Conv2D(3, 2)(layers.Conv2D(3, 2, dilation_rate=2)(lead)))


GRAPHS = {graph.__name__: graph for graph in (add, subtract, concatenate, pooled, dense, same)}


@pytest.fixture
def float64():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)


def randomized(model, seed=0):
    random = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.name != "window":
            variable.assign(random.normal(0, 1, variable.shape))
    return model


def build(graph):
    inputs = keras.Input(SHAPE, dtype="float64")
    lead = tk.TTFSEncoder()(inputs)
    potential = graph(lead)
    model = randomized(keras.Model(inputs, tk.TTFSNeuron(window=1e3, name="neuron")(potential)))
    populations = Populations(model)
    synapses = populations.maps["neuron"]

    def mapped(x, **options):
        tensors = populations.visit([x], lambda _: None)  # Flatten and the like pass spikes on
        return synapses([tensors[source] for source in synapses.sources], **options)

    return mapped, keras.Model(inputs, potential)


def explicit(function, size):
    """Return the matrix `(inputs, neurons)` of a linear function of one array and what it makes of zeros."""
    probes = np.concatenate([np.zeros((1, size)), np.eye(size)]).reshape(-1, *SHAPE)
    received = np.asarray(function(probes)).reshape(size + 1, -1)
    return received[1:] - received[0], received[0]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", GRAPHS)
def test_composite_synapses_are_the_explicit_matrix(name):
    synapses, source = build(GRAPHS[name])
    matrix, constants = explicit(source, np.prod(SHAPE))
    lead = lead_times((3, *SHAPE))
    product = lead.reshape(3, -1) @ matrix
    potential, linear = synapses(lead), synapses(lead, constant=False)
    np.testing.assert_allclose(np.reshape(potential, (3, -1)), product + constants, rtol=0, atol=FLOAT64)
    np.testing.assert_allclose(np.reshape(linear, (3, -1)), product, rtol=0, atol=FLOAT64)
    assert potential.shape[1:] == source.output_shape[1:]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", GRAPHS)
def test_absolute_weights_bound_the_map_from_above(name):
    synapses, source = build(GRAPHS[name])
    size = int(np.prod(SHAPE))
    matrix, _ = explicit(source, size)
    bound, _ = explicit(lambda probes: synapses(probes, constant=False, weights=tf.abs), size)
    assert (bound >= abs(matrix) - FLOAT64).all()
    if name == "concatenate":  # one path from each input to each neuron, through one layer of weights
        np.testing.assert_allclose(bound, abs(matrix), rtol=0, atol=FLOAT64)


@pytest.mark.usefixtures("float64")
def test_layers_with_neurons_of_their_own():
    inputs = keras.Input(SHAPE, dtype="float64")
    lead = tk.TTFSMaxPooling2D(2, name="pool")(tk.TTFSEncoder()(inputs))
    conv = tk.TTFSConv2D(3, 2, padding="same", input_affine=True, window=1e3, name="conv")(lead)
    hidden = tk.TTFSDense(4, parameterization="alpha1", window=1e3, name="dense")(layers.Flatten()(conv))
    model = randomized(keras.Model(inputs, tk.TTFSReadout(2, name="readout")(hidden)))
    layer = model.get_layer("dense")
    layer.kernel.assign(abs(layer.kernel) / 10)  # slopes above 0
    populations = Populations(model)
    assert list(populations.maps) == ["conv", "dense"]
    lead = lead_times((3, 2, 2, 2))
    pooled = keras.Model(model.get_layer("conv").input, model.get_layer("conv").output)
    np.testing.assert_allclose(tf.nn.relu(populations.maps["conv"]([lead])), pooled(lead), rtol=0, atol=FLOAT64)
    readout = populations.map_to(populations.graph.outputs[0])
    received = lead_times((3, 4))
    weights, biases = (np.asarray(part) for part in model.get_layer("readout").effective_weights((3, 4)))
    np.testing.assert_allclose(readout([received]), received @ weights + biases, rtol=0, atol=FLOAT64)
    bound = readout([received], constant=False, weights=tf.abs)
    np.testing.assert_allclose(bound, received @ abs(weights), rtol=0, atol=FLOAT64)
    fan_in = populations.maps["dense"]([np.ones((1, 12))], constant=False, weights=tf.ones_like)
    np.testing.assert_array_equal(fan_in, np.full((1, 4), 12))


@pytest.mark.usefixtures("float64")
def test_sources_are_the_spikes_of_all_branches_and_each_step_is_taken_once():
    inputs = keras.Input(SHAPE, dtype="float64")
    lead = tk.TTFSEncoder(name="encoder")(inputs)
    first = tk.TTFSConv2D(2, 1, window=1e3, name="first")(lead)
    shared = layers.Conv2D(2, 1, name="shared")(first)
    joined = layers.Add(name="joined")([shared, lead, layers.Conv2D(2, 1, name="other")(shared)])
    model = randomized(keras.Model(inputs, tk.TTFSNeuron(window=1e3, name="neuron")(joined)))
    populations = Populations(model)
    synapses = populations.maps["neuron"]
    assert [call.name for call in synapses.steps] == ["shared", "other", "joined"]
    names = [populations.graph.makers[source].name for source in synapses.sources]
    assert sorted(names) == ["encoder", "first"]
    leads = {name: lead_times((3, *SHAPE), n) for n, name in enumerate(["encoder", "first"])}
    expected = keras.Model([first, lead], joined)([leads["first"], leads["encoder"]])
    received = synapses([leads[name] for name in names])
    np.testing.assert_allclose(received, expected, rtol=0, atol=FLOAT64)


@pytest.mark.usefixtures("float64")
def test_visits_follow_the_network_and_take_the_lead_times_that_a_visitor_returns():
    inputs = keras.Input((3,), dtype="float64")
    lead = tk.TTFSEncoder()(inputs)
    first = tk.TTFSDense(4, window=2.0, name="first")(lead)
    joined = layers.Add()([layers.Dense(4)(first), first])
    second = tk.TTFSNeuron(window=2.0, name="second")(joined)
    model = randomized(keras.Model(inputs, second))
    x = lead_times((5, 3))
    visited, populations = [], Populations(model)

    def watch(population):
        visited.append((population.name, len(population.leads), population.potential.shape))

    first, second = (synapses.call.outputs[0] for synapses in populations.maps.values())
    tensors = populations.visit([x], watch)
    assert visited == [("first", 1, (5, 4)), ("second", 1, (5, 4))]
    np.testing.assert_allclose(tensors[second], model(x), rtol=0, atol=FLOAT64)

    silent = populations.visit([x], lambda population: tf.zeros_like(population.potential))
    assert not np.any(silent[first]) and not np.any(silent[second])
    earliest = populations.visit(None, lambda _: None)
    np.testing.assert_allclose(earliest[second], model(np.ones((1, 3))), rtol=0, atol=FLOAT64)


@pytest.mark.usefixtures("float64")
def test_linear_calls_that_populations_share_are_computed_once():
    """A chain of skips: what each population adds up holds all that the ones before it did."""
    calls = []

    class Recorded(layers.Conv2D):
        def call(self, inputs):
            calls.append(self.name)
            return super().call(inputs)

    inputs = keras.Input(SHAPE, dtype="float64")
    total = Recorded(2, 1, name="conv")(tk.TTFSEncoder()(inputs))
    for n in range(3):
        spikes = tk.TTFSNeuron(window=1e3, name=f"neuron{n}")(total)
        total = layers.Add()([Recorded(2, 3, padding="same", name=f"conv{n}")(spikes), total])
    model = randomized(keras.Model(inputs, tk.TTFSNeuron(window=1e3, name="last")(total)))
    x, found = lead_times((2, *SHAPE)), {}

    def watch(population):
        found[population.name] = population.potential
        halved = population.mapped("halved", lambda lead: lead / 2)
        alone = population.synapses([lead / 2 for lead in population.leads], constant=False)
        np.testing.assert_allclose(halved, alone, rtol=0, atol=FLOAT64)

    calls.clear()
    populations = Populations(model)
    populations.visit([x], lambda population: population.mapped("halved", lambda lead: lead / 2) * 2)
    assert sorted(calls) == sorted(2 * ["conv", "conv0", "conv1", "conv2"])
    populations.visit([x], watch)
    for name, potential in found.items():
        np.testing.assert_allclose(potential, keras.Model(inputs, model.get_layer(name).input)(x), rtol=0, atol=FLOAT64)
