"""Stopping when no epoch improves any more, also across interruptions."""

import keras

from ttfs_keras.training.record import EpochRecord


class StopEarly(keras.callbacks.Callback):
    """Stop training when the best epoch lies `patience` epochs back.

    `keras.callbacks.EarlyStopping` counts in memory; this one reads the rows of all epochs, also of those before an
    interruption. Put it behind the record.

    Args:
        record: the `EpochRecord`.
        patience: epochs without improvement.
    """

    def __init__(self, record: EpochRecord, patience: int):
        super().__init__()
        self.record, self.patience = record, patience

    def on_train_begin(self, logs=None):
        self._check()  # an interrupted run may have come to its end

    def on_epoch_end(self, epoch, logs=None):
        self._check()

    def _check(self) -> None:
        if self.record.rows and len(self.record.rows) - 1 - self.record.best() >= self.patience:
            self.model.stop_training = True
