"""Tolerances of the tests, in one place."""

SIMULATOR = 1e-9  # float64: event-driven simulation against the fast path
FLOAT64 = 1e-10  # mapped network against its ReLU source
FLOAT32 = 1e-4  # relative: float32 against float64
TRAINING = 1e-9  # weights of B1 against ReLU's after 30 epochs, float64
GRADIENT = 1e-6  # relative: analytic gradient against central differences, float64
QUANTILE = 0.02  # relative: a quantile of a sample against that of its population
EVENT_DRIVEN64 = 1e-12  # relative to the largest output: event-driven against dense kernels, float64
EVENT_DRIVEN32 = 1e-5  # the same, float32
