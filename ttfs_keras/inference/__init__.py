"""Inference that reads only the weights of neurons that spiked."""
