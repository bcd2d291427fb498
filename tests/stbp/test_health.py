import csv
import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.stbp.networks import compiled, digits, small_network
from tests.tolerances import FLOAT32
from ttfs_keras import stbp
from ttfs_keras.network.graph import layers_of


def fitted(model, callbacks=()):
    """Train for two epochs."""
    x, y = digits(64)
    model.fit(x, y, batch_size=32, epochs=2, verbose=0, shuffle=False, callbacks=list(callbacks))


def network(rate=5e-3, **changes):
    """Return a compiled small network whose statistics are those of the last batch."""
    keras.utils.set_random_seed(0)
    model = compiled(small_network(**changes), rate)
    model.run_eagerly = True  # a few steps are quicker than their graph
    for layer in layers_of(model, stbp.ThresholdDependentBatchNormalization):
        layer.momentum = 0.0
    return model


def rows(path):
    """Return the lines of a CSV log, numbers by name."""
    with path.open() as file:
        lines = list(csv.DictReader(file))
    return [{name: float(value) for name, value in line.items() if not name.startswith("val_")} for line in lines]


def test_numbers_are_those_of_the_network_reach_the_csv_and_leave_training_alone(tmp_path):
    model, (x, y) = network(), digits(32)
    fitted(model, [stbp.HealthCheck(x, y), keras.callbacks.CSVLogger(tmp_path / "log.csv")])
    row = rows(tmp_path / "log.csv")[-1]
    neurons = layers_of(model, stbp.LIF)
    probe = keras.Model(model.input, [[layer.input for layer in neurons], [layer.output for layer in neurons]])
    for layer, current, spikes in zip(neurons, *probe(x), strict=True):
        overdrive = layer.potentials(current).numpy() - 0.4
        assert row[f"health/inside/{layer.name}"] == pytest.approx(np.mean(abs(overdrive) < 0.5), rel=FLOAT32)
        assert row[f"health/rate/{layer.name}"] == pytest.approx(np.mean(spikes), rel=FLOAT32)
    norms = layers_of(model, stbp.ThresholdDependentBatchNormalization)
    for layer, inputs in zip(norms, keras.Model(model.input, [n.input for n in norms])(x), strict=True):
        inputs, axes = np.asarray(inputs, np.float64), tuple(range(len(inputs.shape) - 1))
        moving = np.asarray(layer.moving_variance) + layer.epsilon
        distance = (inputs.mean(axes) - np.asarray(layer.moving_mean)) / moving**0.5
        ratio = (inputs.var(axes) + layer.epsilon) / moving
        assert row[f"health/mean/{layer.name}"] == pytest.approx(np.mean(distance**2) ** 0.5, rel=1e-4)
        assert row[f"health/variance/{layer.name}"] == pytest.approx(np.exp(np.log(ratio).mean()), rel=1e-4)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, model(x), from_logits=True))
    block = [v for v in model.trainable_variables if v.path.startswith("block2_")]
    norm = tf.linalg.global_norm(tape.gradient(loss, [v.value for v in block]))
    assert row["health/gradient/block2"] == pytest.approx(float(norm), rel=FLOAT32)
    blocks = {name.removeprefix("health/gradient/") for name in row if "gradient" in name}
    assert blocks == {"stem", "block1", "block2", "hidden", "readout"}
    assert row["health/silent_layers"] == row["health/saturated_layers"] == 0

    alone = network()
    fitted(alone)
    for received, expected in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(received, expected, rtol=FLOAT32, atol=FLOAT32)


def test_silence_and_saturation_are_said_in_words(tmp_path, caplog):
    model, (x, y) = network(0.0, width=0.1), digits(32)
    for layer in layers_of(model, stbp.ThresholdDependentBatchNormalization):
        layer.beta.assign(layer.beta + (50 if layer.name == "stem_norm" else -50))
    fitted(model, [stbp.HealthCheck(x, y), keras.callbacks.CSVLogger(tmp_path / "log.csv")])
    row = rows(tmp_path / "log.csv")[0]
    assert (row["health/silent_layers"], row["health/saturated_layers"]) == (5, 1)
    assert row["health/inside/block1_lif1"] == 0
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "epoch 1: silent layers: block1_lif1, block1_lif2" in text
    assert "epoch 2: saturated layers: stem_lif\n" in text
    assert "no potential lies inside the surrogate's window" in text
    assert "all outputs are silent" in text and "cannot fall below ln(10) = 2.3026" in text


@pytest.mark.parametrize("momentum", [0.0, 0.999])
def test_statistics_that_lag_behind_are_said_in_words(caplog, momentum):
    model, (x, y) = network(), digits(32)
    for layer in layers_of(model, stbp.ThresholdDependentBatchNormalization):
        layer.momentum = momentum
    fitted(model, [stbp.HealthCheck(x, y)])
    found = [r.getMessage() for r in caplog.records if "moving statistics are not those" in r.getMessage()]
    if momentum:
        assert len(found) == 2 and "epoch 2: moving" in found[1] and "stem_norm (" in found[1]
    else:
        assert not any("stem_norm" in line for line in found)


def test_an_evaluation_without_statistics_is_said_in_words(caplog):
    x, y = digits(8)
    compiled(small_network()).evaluate(x, y, verbose=0, callbacks=[stbp.HealthCheck(x, y)])
    first = next(record for record in caplog.records if record.name == "ttfs_keras")
    assert first.levelno == logging.WARNING
    assert "no training step in stem_norm, block1_norm1" in first.getMessage()


@pytest.mark.parametrize("labels", [1, 3])
def test_samples_must_be_two_and_labelled(labels):
    with pytest.raises(ValueError, match="at least 2"):
        stbp.HealthCheck(np.zeros((1, 28, 28, 1)), np.zeros(labels))
