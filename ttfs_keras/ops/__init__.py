"""The custom op of multi-spike layers: its loader, its gradients and a plain-TensorFlow reference."""

from ttfs_keras.ops.bats import peaks, spikes

__all__ = ["peaks", "spikes"]
