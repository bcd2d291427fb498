"""What keeps trained constants where they make sense."""

import math

import keras


@keras.saving.register_keras_serializable(package="ttfs_keras")
class Between(keras.constraints.Constraint):
    """Keep a weight in [low, high]."""

    def __init__(self, low, high=math.inf):
        self.low = low
        self.high = high

    def __call__(self, w):
        return keras.ops.clip(w, self.low, self.high)

    def get_config(self):
        return {"low": self.low, "high": self.high}
