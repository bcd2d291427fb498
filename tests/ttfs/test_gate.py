import numpy as np
import pytest
import tensorflow as tf

from tests.tolerances import FLOAT64, GRADIENT
from ttfs_keras.ttfs.gate import spike_gate

WINDOW = 0.8
# Silent, ties at both ends, inside, saturated.
POTENTIALS = np.array([[-2.0, -1e-9, 0.0, 1e-9, 0.3], [0.79, 0.8, 0.8 + 1e-9, 1.0, 50.0]])
UPSTREAM = np.arange(1.0, 11.0).reshape(2, 5)


def gradients(potential, window, upstream):
    potential, window = tf.constant(potential), tf.constant(window, potential.dtype)
    with tf.GradientTape() as tape:
        tape.watch([potential, window])
        lead = spike_gate(potential, window)
    return [gradient.numpy() for gradient in tape.gradient(lead, [potential, window], upstream)]


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lead_time_is_the_clipped_potential(dtype, jit_compile):
    gate = tf.function(spike_gate, jit_compile=jit_compile)
    lead = gate(tf.constant(POTENTIALS, dtype), tf.constant(WINDOW, dtype)).numpy()
    assert lead.dtype == dtype
    np.testing.assert_array_equal(lead, np.clip(POTENTIALS.astype(dtype), 0, np.array(WINDOW, dtype)))


def test_gradient_flows_only_to_spikes_inside_the_window_and_saturated_ones_move_the_window():
    to_potential, to_window = gradients(POTENTIALS, WINDOW, UPSTREAM)
    # A tie at 0 is silent; a tie at the window is a spike inside it.
    spiking = np.array([[0, 0, 0, 1, 1], [1, 1, 0, 0, 0]])
    np.testing.assert_array_equal(to_potential, spiking * UPSTREAM)
    assert to_window == UPSTREAM[1, 2:].sum()


@pytest.mark.parametrize("seed", range(3))
def test_gradient_equals_central_differences(seed):
    random = np.random.default_rng(seed)
    potential, upstream = random.normal(0.4, 1, (7, 9)), random.normal(size=(7, 9))
    step = 1e-6
    potential[(abs(potential) < 2 * step) | (abs(potential - WINDOW) < 2 * step)] += 0.1  # off the kinks

    def lead(potential, window):
        return spike_gate(tf.constant(potential), tf.constant(window, tf.float64)).numpy()

    to_potential, to_window = gradients(potential, WINDOW, upstream)
    difference = upstream * (lead(potential + step, WINDOW) - lead(potential - step, WINDOW)) / (2 * step)
    np.testing.assert_allclose(to_potential, difference, rtol=GRADIENT, atol=GRADIENT)
    difference = (upstream * (lead(potential, WINDOW + step) - lead(potential, WINDOW - step))).sum() / (2 * step)
    np.testing.assert_allclose(to_window, difference, rtol=GRADIENT, atol=GRADIENT)


def test_a_trained_window_moves_to_where_the_loss_wants_it():
    window = tf.Variable(2.0, dtype=tf.float64)
    potential = tf.constant([[0.1, 3.0, 5.0]], tf.float64)
    for _ in range(100):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((spike_gate(potential, window) - [[0.1, 1.0, 1.0]]) ** 2)
        window.assign_sub(0.1 * tape.gradient(loss, window))
    np.testing.assert_allclose(window.numpy(), 1, rtol=0, atol=FLOAT64)
