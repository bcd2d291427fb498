import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.stbp import oracle
from tests.stbp.tolerances import SEQUENCE
from tests.tolerances import FLOAT64
from ttfs_keras.stbp import surrogates
from ttfs_keras.stbp.sequence import RESETS, lif_sequence, potentials

THRESHOLD, DECAY, WIDTH = 0.4, 0.3, 0.7
MODES = {
    "eager": lambda function: function,
    "graph": tf.function,
    "xla": lambda function: tf.function(function, jit_compile=True),
}
# From (time, neurons), 24 of them, to what the package takes.
LAYOUTS = {
    "features": lambda x: x.reshape(len(x), 4, 6).transpose(1, 0, 2),
    "images": lambda x: x.reshape(len(x), 2, 2, 3, 2).transpose(1, 0, 2, 3, 4),
}
CASES = list(itertools.product(surrogates.BY_NAME, RESETS, [False, True]))


class Smooth(surrogates.Surrogate):
    """A surrogate whose neurons fire its antiderivative, so that its derivative is true."""

    def __init__(self, surrogate):
        self.fire, self.derivative = surrogate.antiderivative, surrogate.derivative


def case_of(name, reset, detach, steps):
    """Return currents and upstream gradients `(time, 24)` that keep potentials off the kinks, and the loss."""
    smooth, kinks = oracle.SMOOTH[name]

    def fire(v):
        return smooth(v, WIDTH)

    random = np.random.default_rng(steps)
    x, upstream = random.normal(0.3, 0.5, (steps, 400)), random.normal(size=(steps, 400))
    overdrive = oracle.run(x, THRESHOLD, DECAY, fire, reset)[0] - THRESHOLD
    near = [np.abs(overdrive - kink).min(axis=0) < 1e-3 for kink in kinks(WIDTH)]
    kept = np.flatnonzero(~np.any([np.zeros(400, bool), *near], axis=0))[:24]
    x, upstream = x[:, kept], upstream[:, kept]
    frozen = oracle.run(x, THRESHOLD, DECAY, fire, reset)[1] if detach else None

    def losses(x, threshold, decay):
        return (upstream * oracle.run(x, threshold, decay, fire, reset, frozen)[1]).sum(0)

    return x, upstream, losses


def differences(x, losses, step=1e-5):
    """Return central differences of the loss by currents `(time, neurons)`, threshold and decay."""
    by_current = []
    for t in range(len(x)):
        moved = np.zeros_like(x)
        moved[t] = step  # no neuron feels another's current
        by_current.append(losses(x + moved, THRESHOLD, DECAY) - losses(x - moved, THRESHOLD, DECAY))
    by_threshold = losses(x, THRESHOLD + step, DECAY) - losses(x, THRESHOLD - step, DECAY)
    by_decay = losses(x, THRESHOLD, DECAY + step) - losses(x, THRESHOLD, DECAY - step)
    return [np.array(by_current) / (2 * step), *(np.sum(d) / (2 * step) for d in (by_threshold, by_decay))]


def constants(*values):
    return [tf.constant(value, tf.float64) for value in values]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("steps", [1, 2, 3, pytest.param(6, marks=pytest.mark.slow)])
def test_gradient_equals_central_differences_of_the_smooth_twin(steps, layout, mode):
    prepared = [case_of(*case, steps) for case in CASES]

    # All cases in one function, because XLA takes its time for each.
    def gradients(inputs, upstreams, threshold, decay):
        results = []
        for (name, reset, detach), x, upstream in zip(CASES, inputs, upstreams, strict=True):
            surrogate = Smooth(surrogates.get(name, WIDTH))
            with tf.GradientTape() as tape:
                tape.watch([x, threshold, decay])
                spikes = lif_sequence(x, threshold, decay, surrogate, reset, detach)
            results.append(tape.gradient(spikes, [x, threshold, decay], upstream))
        return results

    arrange = LAYOUTS[layout]
    inputs = [tf.constant(arrange(x)) for x, _, _ in prepared]
    upstreams = [tf.constant(arrange(upstream)) for _, upstream, _ in prepared]
    received = MODES[mode](gradients)(inputs, upstreams, *constants(THRESHOLD, DECAY))
    for case, (x, _, losses), gradient in zip(CASES, prepared, received, strict=True):
        by_current, by_threshold, by_decay = differences(x, losses)
        expected = [arrange(by_current), by_threshold, by_decay]
        for actual, desired in zip(gradient, expected, strict=True):
            np.testing.assert_allclose(actual, desired, rtol=0, atol=SEQUENCE, err_msg=f"{case}")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_potentials_and_spikes_are_those_of_the_equations(layout, reset, mode):
    x = np.random.default_rng(0).normal(0.3, 0.5, (5, 24))
    expected = [LAYOUTS[layout](values) for values in oracle.run(x, THRESHOLD, DECAY, oracle.step, reset)]
    surrogate = surrogates.get("rectangle")

    def forward(x, threshold, decay):
        spikes = lif_sequence(x, threshold, decay, surrogate, reset)
        return tf.stack(potentials(x, threshold, decay, surrogate.fire, reset), axis=1), spikes

    received = MODES[mode](forward)(tf.constant(LAYOUTS[layout](x)), *constants(THRESHOLD, DECAY))
    np.testing.assert_allclose(received[0], expected[0], rtol=0, atol=FLOAT64)
    np.testing.assert_array_equal(received[1], expected[1])
    assert 0.1 < expected[1].mean() < 0.9


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("name", surrogates.BY_NAME)
def test_hard_spikes_have_the_gradient_of_automatic_differentiation_with_a_surrogate_at_each_step(name, reset):
    surrogate = surrogates.get(name, WIDTH)

    @tf.custom_gradient
    def fire(overdrive):
        return surrogate.fire(overdrive), lambda upstream: upstream * surrogate.derivative(overdrive)

    def unrolled(x, threshold, decay):
        steps = potentials(x, threshold, decay, fire, reset)
        return tf.stack([fire(u - threshold) for u in steps], axis=1)

    random = np.random.default_rng(1)
    arguments = constants(random.normal(0.3, 0.5, (3, 5, 7)), THRESHOLD, DECAY)
    upstream = random.normal(size=(3, 5, 7))
    results = []
    for function in (lambda *a: lif_sequence(*a, surrogate, reset), unrolled):
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            spikes = function(*arguments)
        results.append([spikes, *tape.gradient(spikes, arguments, upstream)])
    for received, expected in zip(*results, strict=True):
        np.testing.assert_allclose(received, expected, rtol=0, atol=FLOAT64)


def test_backward_holds_the_potentials_and_nothing_else_of_their_size():
    batch, steps, neurons = 4, 6, 50
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, (batch, steps, neurons))
        spikes = lif_sequence(x, tf.constant(0.4), tf.constant(0.25), surrogates.get("arctan"))
        forward = set(graph.get_operations())
        (gradient,) = tf.gradients(spikes, x, tf.ones_like(spikes))
    held, open_ends, seen = set(), [gradient.op], set()
    while open_ends:
        for tensor in open_ends.pop().inputs:
            if tensor.op in forward:
                held.add(tensor.name)
            elif tensor.op not in seen:
                seen.add(tensor.op)
                open_ends.append(tensor.op)
    sizes = [graph.get_tensor_by_name(name).shape.num_elements() for name in held]
    assert sorted(size for size in sizes if size > 1) == steps * [batch * neurons]
