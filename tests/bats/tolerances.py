"""Tolerances of multi-spike layers, in one place; see also tests/tolerances.py."""

DIFFERENCE_STEP = 1e-5  # of central differences, whatever the unit: the numbers of a problem are of order 0.1 to 10
FLOAT32_TIME = 2e-5  # relative to the simulation time: float32 spikes against float64, far from tangents
FLOAT32_RESETS = 1e-6  # relative to the simulation time: the same after thousands of resets and a single input
BRIAN2_STEP = 1.25e-4  # Brian2's clock, relative to the simulation time
SECOND_ORDER = 1.05  # factor: what a bound of first order in Brian2's clock leaves out
GOLDEN = 6e-10  # published numbers, rounded to nine decimals
PUBLISHED = 1e-8  # of their way: trained weights against those of a NumPy transcription, float64
