import keras
import pytest

from ttfs_keras.training.schedules import StepDecay, StepsDecay


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (StepDecay(0.1, 0.5, every=3), {0: 0.1, 2: 0.1, 3: 0.05, 6: 0.025}),
        (StepDecay(0.1, 0.5, every=3, minimum=0.04), {3: 0.05, 6: 0.04, 90: 0.04}),
        (StepDecay(0.1, 0.5, every=3, minimum=0.2), {0: 0.1, 90: 0.1}),
        (StepsDecay(0.1, 0.1, after=[4, 6]), {0: 0.1, 3: 0.1, 4: 0.01, 5: 0.01, 6: 0.001}),
        (StepsDecay(0.1, 0.1, after=[]), {0: 0.1, 99: 0.1}),
    ],
)
def test_rates(schedule, expected):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    for step, rate in expected.items():
        assert float(schedule(step)) == pytest.approx(rate) == float(copy(step))
