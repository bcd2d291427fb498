from types import SimpleNamespace

import pytest

from ttfs_keras.training.record import EpochRecord
from ttfs_keras.training.stopping import StopEarly


def record(best, values):
    return EpochRecord(None, SimpleNamespace(best=best), [{best: value} for value in values])


@pytest.mark.parametrize(
    ("best", "values", "stops"),
    [
        ("val_loss", [], False),
        ("val_loss", [3, 2, 2.5], False),
        ("val_loss", [3, 2, 2.5, 2.1], True),
        ("val_loss", [3, 2, 2.5, 2.0], False),  # as good as the best counts as improvement
        ("val_accuracy", [0.5, 0.9, 0.8, 0.7], True),
        ("val_accuracy", [0.5, 0.8, 0.7, 0.9], False),
    ],
)
def test_it_stops_when_the_best_epoch_is_too_long_ago(best, values, stops):
    callback = StopEarly(record(best, values), patience=2)
    model = SimpleNamespace(stop_training=False)
    callback.set_model(model)
    callback.on_train_begin()  # as after an interruption
    assert model.stop_training == stops
    model.stop_training = False
    callback.on_epoch_end(0)
    assert model.stop_training == stops
