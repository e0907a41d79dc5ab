import sys

import pytest


@pytest.fixture
def eager_threads():
    """Switches threads as often as possible, so that races show."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
