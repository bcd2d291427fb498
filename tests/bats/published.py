"""Training as published, for dense networks: Bacho & Chu, arXiv 2212.09500, in NumPy.

Float64, neuron by neuron in absolute exponentials, gradients by the paper's sums over pairs of spikes. It shares no
code with the package, and one setting: Adam's epsilon.
"""

import numpy as np

TAU_SOFTMAX = 0.005  # s


class Layer:
    """Neurons with a kernel (pre, post); times are (batch, neurons, slots), in seconds, inf for none."""

    def __init__(self, kernel, threshold, max_spikes, simulation_time, tau_s=0.13):
        self.kernel, self.max_spikes, self.simulation_time = np.array(kernel, float), max_spikes, simulation_time
        self.tau_s, self.tau = tau_s, 2 * tau_s
        self.c = self.reset = threshold / self.tau
        self.first_moment, self.second_moment = np.zeros_like(self.kernel), np.zeros_like(self.kernel)

    def forward(self, times):
        """Return the output spikes."""
        self.inputs = times
        shape = (len(times), self.kernel.shape[1], self.max_spikes)
        self.spikes, self.x, self.e = np.full(shape, np.inf), np.ones(shape), np.zeros(shape)
        for sample in range(len(times)):
            self._simulate(sample)
        return self.spikes

    def _simulate(self, sample):
        source, slot = np.nonzero(self.inputs[sample] < self.simulation_time)
        moments = self.inputs[sample][source, slot]
        order = np.argsort(moments, kind="stable")
        ends = np.append(moments[order][1:], self.simulation_time)
        posts = np.arange(self.kernel.shape[1])
        a, b, count = np.zeros(len(posts)), np.zeros(len(posts)), np.zeros(len(posts), int)
        for start, end, weights in zip(moments[order], ends, self.kernel[source[order]], strict=True):
            a += weights * np.exp(start / self.tau_s)
            b += weights * np.exp(start / self.tau)
            last = np.full(len(posts), start)
            while True:
                x = np.sqrt(np.maximum(b**2 - 4 * a * self.c, 0))
                possible = (b**2 >= 4 * a * self.c) & (b + x > 0) & (a > 0) & (count < self.max_spikes)
                e = np.where(possible, 2 * a / np.where(possible, b + x, 1), 1)
                t = self.tau * np.log(e)
                fires = np.flatnonzero(possible & (t > last) & (t <= end))
                if len(fires) == 0:
                    break
                at = sample, fires, count[fires]
                self.spikes[at], self.x[at], self.e[at] = t[fires], x[fires], e[fires]
                b[fires] -= self.reset * e[fires]
                last[fires] = t[fires]
                count[fires] += 1

    def backward(self, errors):
        """Return dL/dkernel and dL/dinputs from dL/dspikes."""
        fired = np.isfinite(self.spikes)
        errors, later = np.where(fired, errors, 0), np.zeros(errors.shape[:2])
        for k in reversed(range(self.max_spikes)):  # through the resets
            errors[..., k] += later * self.e[..., k]
            later += errors[..., k] * self.reset / self.x[..., k]
        f1 = np.where(fired, errors * self.tau / (self.x * np.where(fired, self.e, 1)), 0)
        f2 = errors * self.tau / self.x
        gradient, to_inputs = np.zeros_like(self.kernel), np.zeros_like(self.inputs)
        for sample, times in enumerate(self.inputs):
            for slot in range(times.shape[1]):
                t = times[:, slot, None, None]
                before = t < self.spikes[sample]  # (pre, post, max_spikes)
                t = np.where(np.isfinite(t[..., 0]), t[..., 0], 0)
                s1, s2 = (before * f1[sample]).sum(-1), (before * f2[sample]).sum(-1)
                fast, slow = np.exp(t / self.tau_s), np.exp(t / self.tau)
                silent = np.isinf(times[:, slot])
                gradient += np.where(silent[:, None], 0, fast * s1 - slow * s2)
                each = self.kernel * (fast / self.tau_s * s1 - slow / self.tau * s2)
                to_inputs[sample, :, slot] = np.where(silent, 0, each.sum(1))
        return gradient, to_inputs

    def adam(self, gradient, rate, step):
        """Take a step of Adam, the `step`th from 1 on (Kingma & Ba, arXiv 1412.6980, the form before section 2.1).

        Their epsilon-hat is what the published epsilon of 1e-8 is at the first step, and stays that. Rate and bias
        correction have Keras's rounding to float32: nearly tangent spikes make more of it than of anything else.
        """
        self.first_moment = 0.9 * self.first_moment + 0.1 * gradient
        self.second_moment = 0.999 * self.second_moment + 0.001 * gradient**2
        rate, slow, fast = (float(np.float32(number)) for number in (rate, 0.999, 0.9))
        rate *= np.sqrt(1 - slow**step) / (1 - fast**step)
        self.kernel -= rate * self.first_moment / (np.sqrt(self.second_moment) + 1e-8 * np.sqrt(0.001))


def encode(images):
    """Return trains (batch, pixels, 1) of images in [0, 1]: the brighter, the earlier in 0.1 s; black is silent."""
    pixels = images.reshape(len(images), -1, 1).astype(float)
    return np.where(pixels > 0, 0.1 * (1 - pixels), np.inf)


def ttfs_errors(spikes, labels):
    """Return dL/dt of -log softmax(-t/tau)[label] on first spikes; what is silent has no part in it."""
    share = np.exp(-spikes[..., 0] / TAU_SOFTMAX)
    share /= np.maximum(share.sum(1, keepdims=True), np.finfo(float).tiny)
    errors = np.zeros(spikes.shape)
    errors[..., 0] = (np.eye(spikes.shape[1])[labels] - share) / TAU_SOFTMAX
    return errors


def count_errors(spikes, labels, target_true=15, target_false=3):
    """Return target - count for every slot: the source's surrogate, d(count)/dt = -1."""
    targets = np.where(np.eye(spikes.shape[1], dtype=bool)[labels], target_true, target_false)
    return np.broadcast_to((targets - np.isfinite(spikes).sum(-1))[..., None], spikes.shape)


ERRORS = {"ttfs": ttfs_errors, "count": count_errors}


def train(layers, images, labels, batch_size, rate, loss):
    """Train a chain of layers on images in this order, once; `loss` is "ttfs" or "count"."""
    for step, start in enumerate(range(0, len(images), batch_size), start=1):
        batch = slice(start, start + batch_size)
        trains = encode(images[batch])
        for layer in layers:
            trains = layer.forward(trains)
        errors = ERRORS[loss](trains, labels[batch]) / len(labels[batch])
        for layer in reversed(layers):
            gradient, errors = layer.backward(errors)
            layer.adam(gradient, rate, step)
