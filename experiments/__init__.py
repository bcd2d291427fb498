"""Experiments on top of the package."""
