"""Runs: configuration, training, artefacts."""
