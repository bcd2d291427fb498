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
    calibration, fresh = inputs_of(model, 64), inputs_of(model, 2, seed=1)
    snn = tk.convert(model, calibration)
    certificate = tk.verify(snn, model, calibration, tolerance=tolerance)
    assert certificate.passed, certificate
    expected = keras.tree.flatten(model(fresh))
    outputs = tk.simulate(snn, fresh, armed=True).outputs
    for one, other in zip(outputs if len(expected) > 1 else [outputs], expected, strict=True):
        assert np.abs(one - np.asarray(other)).max() <= max(SIMULATOR, tolerance) * max(1, np.abs(other).max())
