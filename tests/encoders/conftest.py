"""Networks small enough to build dozens of."""

import pytest

from small_models import weights_from_numpy


@pytest.fixture(autouse=True, scope="module")
def _weights_from_numpy():
    with weights_from_numpy():
        yield
