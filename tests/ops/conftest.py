import pytest

from tests.bats.problems import CASES
from ttfs_keras.ops import bats, reference


@pytest.fixture(params=[bats, reference], ids=["op", "reference"])
def ops(request):
    """A module with `spikes` and `peaks`."""
    return request.param


@pytest.fixture(params=CASES)
def problem(request):
    return CASES[request.param]
