"""Timings, never asserted by a test."""
