"""Tolerances of the tests of directly trained networks; those of all parts are in tests/tolerances.py."""

SEQUENCE = 1e-8  # float64: sequence gradient against central differences of the smooth twin
FOLDED = 1e-5  # float32: batch norms folded into weights
STATISTICS = 1e-5  # float32: fused against plain statistics
SAVED = 1e-6  # float32: a loaded network against the saved one, whose threads add in another order
FIRING = 0.02  # share of inputs above threshold, and at T = 1 of spikes, against 15.9 % of a normal distribution
FIRST_STEP = 0.04  # the same for the first of several steps, whose mean lies a little below that over all of them
