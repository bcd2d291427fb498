import keras
import numpy as np
import pytest

import ttfs_keras as tk
from tests.conversion_applications.architectures import ARCHITECTURES, inputs_of, source
from tests.tolerances import FLOAT32, FLOAT64, SIMULATOR


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_become_exact_spiking_networks(name):
    model = source(name)
    tolerance = FLOAT32 if "bilinear" in name else FLOAT64  # TensorFlow resizes in float32
    snn = tk.convert(model, inputs_of(model, 64))
    fresh = inputs_of(model, 8, seed=1)
    report = tk.verify(snn, model, fresh, tolerance=tolerance)
    # Fresh inputs may overflow a window; with the calibration data none does.
    scale = max(float(np.abs(values).max()) for values in keras.tree.flatten(model(fresh)))
    assert report.max_abs_error <= tolerance * scale, report
    simulation = tk.simulate(snn, [part[:2] for part in fresh] if len(model.inputs) > 1 else fresh[:2], armed=True)
    expected = keras.tree.flatten(model([part[:2] for part in fresh] if len(model.inputs) > 1 else fresh[:2]))
    received = simulation.outputs if len(expected) > 1 else [simulation.outputs]
    for one, other in zip(received, expected, strict=True):
        assert np.abs(one - np.asarray(other)).max() <= max(SIMULATOR, 100 * tolerance) * max(1, scale)
