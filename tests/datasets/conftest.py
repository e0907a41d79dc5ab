import gc
import sys

import pytest


@pytest.fixture
def eager_threads():
    """Switches threads as often as possible, so that races show."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture(scope="module")
def small_heap():
    """Collections in a module do not look at what other tests have left."""
    # Never unfrozen: that would undo it for all modules and collected tests.
    gc.collect()
    gc.freeze()
