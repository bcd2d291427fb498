"""Stopping when an epoch's measure no longer improves, with nothing to forget between interrupted runs."""

import keras


class StopEarly(keras.callbacks.Callback):
    """Stop training when the best epoch lies `patience` epochs back.

    `keras.callbacks.EarlyStopping` counts in memory; this one reads the rows of all epochs, also of those before an
    interruption. Put it behind the record.

    Args:
        record: the `EpochRecord`.
        patience: epochs without improvement.
    """

    def __init__(self, record, patience):
        super().__init__()
        self.record, self.patience = record, patience

    def on_train_begin(self, logs=None):
        """Stop at once where an interrupted run had come to its end."""
        self._check()

    def on_epoch_end(self, epoch, logs=None):
        """Stop if it is time."""
        self._check()

    def _check(self):
        if self.record.rows and len(self.record.rows) - 1 - self.record.best() >= self.patience:
            self.model.stop_training = True
