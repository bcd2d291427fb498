import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.stbp.networks import digits, small_network
from tests.tolerances import FLOAT32
from ttfs_keras import stbp
from ttfs_keras.network.graph import Graph, layers_of
from ttfs_keras.stbp import reestimate


def norms(model):
    return layers_of(model, stbp.ThresholdDependentBatchNormalization)


def network():
    keras.utils.set_random_seed(0)
    return small_network()


def inputs_of_first_norm(model, x):
    graph = Graph(model)
    call = next(c for c in graph.calls if isinstance(c.operation, stbp.ThresholdDependentBatchNormalization))
    return np.asarray(graph.run([x])[call.inputs[0]])


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("form", ["array", "data set"])
def test_statistics_are_the_weighed_averages_over_batches(form, frozen):
    model, (x, _) = network(), digits(10)
    x = tf.cast(x, "float32")
    model.trainable = not frozen
    before = [np.array(v) for v in model.trainable_variables]
    data = np.asarray(x) if form == "array" else tf.data.Dataset.from_tensor_slices(x).batch(4)
    assert stbp.reestimate_statistics(model, data, batch_size=4) is model
    taken = [inputs_of_first_norm(model, x[at : at + 4]) for at in (0, 4, 8)]
    axes = tuple(range(taken[0].ndim - 1))
    for own, moment in ((norms(model)[0].moving_mean, np.mean), (norms(model)[0].moving_variance, np.var)):
        expected = sum(len(part) * moment(part.astype("float64"), axis=axes) for part in taken) / 10
        np.testing.assert_allclose(own, expected, rtol=FLOAT32, atol=FLOAT32)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert all(layer.momentum == 0.9 and layer.trainable == (not frozen) for layer in norms(model))
    stbp.check_trained(model)


def test_a_network_of_few_steps_is_as_good_in_inference_as_in_training():
    model, (x, _) = network(), digits(64)
    model(x[:8], training=True)
    weights = model.get_weights()
    expected = np.asarray(model(x, training=True))
    model.set_weights(weights)
    far = np.abs(np.asarray(model(x, training=False)) - expected).max()
    stbp.reestimate_statistics(model, x, batch_size=64)
    np.testing.assert_allclose(model(x, training=False), expected, atol=FLOAT32 * 10)
    assert far > 0.1


def test_moving_statistics_settle_once_their_first_values_have_faded():
    model = network()
    assert reestimate.unsettled(model) == norms(model)
    first, *others = norms(model)
    for layer in others:
        layer.steps.assign(88)
    first.steps.assign(87)
    assert reestimate.unsettled(model) == [first] and 0.9**88 < reestimate.SETTLED < 0.9**87
    first.trainable = False  # keeps what it has
    assert reestimate.unsettled(model) == []


def test_models_without_such_layers_are_refused():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="expected a model with tdBN layers"):
        stbp.reestimate_statistics(model, np.zeros((1, 3)))
