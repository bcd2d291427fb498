import numpy as np
import pytest
import tensorflow as tf

from tests.layer_harness import run_layer_test
from tests.tolerances import FLOAT64
from ttfs_keras import stbp

DECODERS = {
    "mean": lambda: stbp.MeanOverTime(dtype="float64"),
    "membrane": lambda: stbp.LastPotential(0.6, dtype="float64"),
}
X = np.random.default_rng(0).normal(size=(4, 5, 3))
EXPECTED = {"mean": X.mean(1), "membrane": sum(0.6 ** (4 - t) * X[:, t] for t in range(5))}


@pytest.mark.parametrize("name", DECODERS)
def test_decoders_are_keras_layers(name, tmp_path):
    run_layer_test(DECODERS[name], X, tmp_path)


@pytest.mark.parametrize("name", DECODERS)
def test_decoders_read_their_formula(name):
    np.testing.assert_allclose(DECODERS[name]()(X), EXPECTED[name], rtol=0, atol=FLOAT64)


@pytest.mark.parametrize("name", DECODERS)
def test_prefixes_are_what_shorter_sequences_give(name):
    decoder = DECODERS[name]()
    prefixes = decoder.prefixes(tf.constant(X))
    shorter = [decoder(X[:, :steps]) for steps in range(1, 6)]
    np.testing.assert_allclose(prefixes, np.stack(shorter, axis=1), rtol=0, atol=FLOAT64)


def test_a_decay_outside_0_to_1_is_refused():
    with pytest.raises(ValueError, match=r"decay in \[0, 1\]"):
        stbp.LastPotential(1.5)
