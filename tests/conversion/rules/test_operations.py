"""Functions of `keras.ops`, operators, and layers that move, weigh or clip values, in the middle of a network."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import ttfs_keras as tk
from tests.conversion.sources import TOLERANCE, error, images, outputs, randomize
from tests.tolerances import SIMULATOR
from ttfs_keras.network import raw

# Of (batch, 4, 6).
MOVED = {
    "last step": lambda x: x[:, -1:],
    "integer index": lambda x: ops.expand_dims(x[:, 2], 1),
    "ellipsis": lambda x: x[..., :4],
    "strided": lambda x: x[:, ::2, 1::-1],
    "split": lambda x: ops.concatenate(ops.split(x, 3, axis=-1)[::-1], axis=1),
    "stack": lambda x: ops.stack([x[:, 0], x[:, 3]], axis=1),
    "transpose": lambda x: ops.transpose(x, (0, 2, 1)),
    "reshape": lambda x: ops.reshape(x, (-1, 8, 3)),
    "flip and roll": lambda x: ops.roll(ops.flip(x, axis=1), 1, axis=2),
    "repeat": lambda x: ops.repeat(x, 2, axis=1),
    "tile": lambda x: ops.tile(x, (1, 1, 2)),
    "squeeze": lambda x: ops.squeeze(ops.expand_dims(x, 1), 1),
    "take": lambda x: ops.take(x, [0, 2], axis=1),
    "pad": lambda x: ops.pad(x, ((0, 0), (1, 0), (0, 2))),
    "moveaxis": lambda x: ops.moveaxis(x, 1, 2),
    "unstack": lambda x: ops.stack(ops.unstack(x, axis=1), axis=2),
    "RepeatVector": lambda x: layers.RepeatVector(3, dtype=x.dtype)(x[:, 1]),
    "CenterCrop": lambda x: layers.CenterCrop(2, 2, dtype=x.dtype)(ops.reshape(x, (-1, 4, 3, 2)))[:, 0],
}
SUMMED = {
    "mean": lambda x: ops.mean(x, axis=1, keepdims=True),
    "sum": lambda x: ops.sum(x, axis=-1, keepdims=True),
    "cumsum": lambda x: ops.cumsum(x, axis=1),
    "negative": lambda x: -x,
    "number times": lambda x: 0.3 * x,
    "array times": lambda x: x * np.linspace(-1, 1, 6),
    "map times": lambda x: x * np.linspace(-1, 1, 24).reshape(1, 4, 6),
    "divided": lambda x: x / 1.7,
    "minus": lambda x: 0.7 - x,
    "plus": lambda x: x + np.linspace(-1, 1, 6),
    "centred": lambda x: x - ops.mean(x, axis=-1, keepdims=True),
    "matmul": lambda x: ops.matmul(x, np.linspace(-1, 1, 18).reshape(6, 3)),
    "EinsumDense": lambda x: layers.EinsumDense("abc,cd->abd", (4, 3), bias_axes="d", dtype=x.dtype)(x),
    "EinsumDense, relu": lambda x: layers.EinsumDense(
        "abc,bcd->abd", (4, 3), bias_axes="bd", activation="relu", dtype=x.dtype
    )(x),
    "SpectralNormalization": lambda x: layers.SpectralNormalization(
        layers.Dense(3, activation="relu", dtype=x.dtype), dtype=x.dtype
    )(x),
    "CustomScaleLayer": lambda x: raw.CUSTOM_SCALE(0.3, dtype=x.dtype)([x, x[:, ::-1]]),
    "LayerScale": lambda x: raw.LAYER_SCALE(0.3, 6, dtype=x.dtype)(x),
}
FIRED = {
    "maximum": lambda x: ops.maximum(x, 0),
    "maximum of a constant": lambda x: ops.maximum(x, -0.3),
    "minimum of an array": lambda x: ops.minimum(np.linspace(-1, 1, 6), x),
    "maximum of two": lambda x: ops.maximum(x, x[:, ::-1]),
    "minimum of two": lambda x: ops.minimum(x, x[:, ::-1]),
    "Maximum": lambda x: layers.Maximum(dtype=x.dtype)([x, x[:, ::-1], -x]),
    "Minimum": lambda x: layers.Minimum(dtype=x.dtype)([x, x[:, ::-1], -x]),
    "relu6": lambda x: ops.relu6(9 * x),
    "clip": lambda x: ops.clip(x, 0, 1),
    "clip to both signs": lambda x: ops.clip(x, -0.4, 0.5),
    "hard_sigmoid": lambda x: ops.hard_sigmoid(3 * x),
    "Activation hard_sigmoid": lambda x: layers.Activation("hard_sigmoid", dtype=x.dtype)(3 * x),
    "hard_tanh": lambda x: ops.hard_tanh(x),
    "Activation hard_tanh": lambda x: layers.Activation("hard_tanh", dtype=x.dtype)(x),
    "soft_shrink": lambda x: ops.soft_shrink(x, 0.3),
    "hard_shrink": lambda x: ops.hard_shrink(x, 0.3),
    "abs": ops.abs,
    "ReLU of three": lambda x: layers.ReLU(0.8, 0.3, 0.2, dtype=x.dtype)(x),
}
ALL = MOVED | SUMMED | FIRED


def around(operation, place):
    """Return a network with an operation on its inputs, on potentials, on normalized spikes, or at the end."""
    inputs = keras.Input((4, 6), dtype="float64")
    x = inputs
    if place == "potentials":
        x = layers.Dense(6, dtype="float64")(x)
    if place in ("spikes", "end"):
        x = layers.BatchNormalization(dtype="float64")(layers.Dense(6, activation="relu", dtype="float64")(x))
    x = operation(x)
    if place != "end":
        x = layers.Dense(3, dtype="float64")(layers.Dense(5, activation="relu", dtype="float64")(x))
    return randomize(keras.Model(inputs, x), 3)


@pytest.mark.parametrize("place", ["input", "potentials", "spikes", "end"])
@pytest.mark.parametrize("name", ALL)
def test_operations_are_exact_wherever_they_stand(name, place):
    model = around(ALL[name], place)
    x = images(model, (-1, 2))
    snn = tk.convert(model, x, (-1, 2), verification=False)
    report = tk.verify(snn, model, x, tolerance=TOLERANCE["float64"])
    assert report.passed, report
    simulation = tk.simulate(snn, x, armed=True)
    expected = outputs(model, x)
    received = simulation.outputs.reshape(expected.shape)
    assert np.abs(received - expected).max() <= SIMULATOR * max(1, np.abs(expected).max())


@pytest.mark.parametrize("name", MOVED)
def test_moves_cost_no_synapses(name):
    model = around(MOVED[name], "spikes")
    snn = tk.convert(model, images(model))
    kinds = {type(layer) for layer in snn.layers}
    assert tk.TTFSNeuron not in kinds, "the spikes arrive as spikes at the dense layer behind"


def test_networks_with_operations_are_saved(tmp_path):
    def every(x):
        for name in ("ellipsis", "transpose", "pad", "clip to both signs", "mean"):
            x = ALL[name](x)
        return x

    model = around(every, "spikes")
    x = images(model)
    snn = tk.convert(model, x, windows="unit")
    assert error(model, snn, x) <= TOLERANCE["float64"]
    snn.save(tmp_path / "snn.keras")
    np.testing.assert_array_equal(outputs(keras.models.load_model(tmp_path / "snn.keras"), x), outputs(snn, x))


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (lambda x: ops.roll(x, 1, axis=0), "mixes the samples of a batch"),
        (lambda x: ops.concatenate([x, np.ones((1, 4, 6))]), "samples"),
        (lambda x: ops.pad(x, 1), "samples"),
        (lambda x: x * ops.mean(x), "multiplies"),
        (lambda x: 1 / (x + 3), "divides"),
    ],
)
def test_what_is_not_linear_in_a_sample_is_refused(operation, reason):
    model = around(operation, "potentials")
    with pytest.raises(tk.ConversionError, match=reason) as caught:
        tk.convert(model, images(model))
    assert len(str(caught.value).splitlines()) <= 4


HEADS = {
    "tanh": lambda x: layers.Dense(3, activation="tanh", dtype=x.dtype)(x),
    "softplus": lambda x: layers.Activation("softplus", dtype=x.dtype)(layers.Dense(3, dtype=x.dtype)(x)),
    "log_softmax": lambda x: ops.log_softmax(layers.Dense(3, dtype=x.dtype)(x)),
    "reshaped": lambda x: layers.Dropout(0.5, dtype=x.dtype)(
        layers.Reshape((12, 1), dtype=x.dtype)(layers.Dense(3, activation="sigmoid", dtype=x.dtype)(x))
    ),
    "product": lambda x: ops.exp(x) * layers.Dense(6, dtype=x.dtype)(x),
    "largest": lambda x: ops.max(layers.Dense(3, dtype=x.dtype)(x), axis=1),
    "dueling": lambda x: (
        layers.Dense(1, dtype=x.dtype)(x)
        + (a := layers.Dense(3, dtype=x.dtype)(x))
        - ops.max(a, axis=-1, keepdims=True)
    ),
    "normalized": lambda x: layers.UnitNormalization(dtype=x.dtype)(layers.Dense(3, dtype=x.dtype)(x)),
}


@pytest.mark.parametrize("name", HEADS)
def test_what_has_no_weights_behind_the_read_out_stays_digital(name):
    inputs = keras.Input((4, 6), dtype="float64")
    x = layers.Dense(6, activation="relu", dtype="float64")(inputs)
    model = randomize(keras.Model(inputs, [HEADS[name](x), layers.Dense(2, dtype="float64")(x)]))
    x = images(model)
    snn = tk.convert(model, x)
    assert error(model, snn, x) <= TOLERANCE["float64"]
    first = np.asarray(model(x)[0])
    np.testing.assert_allclose(tk.simulate(snn, x).outputs[0], first, rtol=SIMULATOR, atol=SIMULATOR)


def test_a_digital_step_is_no_way_around_neurons():
    inputs = keras.Input((6,), name="x")
    x = layers.Dense(4, activation="tanh", name="first")(inputs)
    x = layers.Dense(4, name="second")(layers.Activation("gelu", name="bent")(x))
    model = keras.Model(inputs, layers.Dense(2, name="third")(x))
    with pytest.raises(tk.ConversionError) as caught:
        tk.convert(model, images(model))
    assert [line.split(" (")[0].strip() for line in str(caught.value).splitlines()[1:]] == ["first", "bent"]
