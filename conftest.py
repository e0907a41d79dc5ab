"""What every test and every example in a docstring finds in place."""

import gc
import os
import pathlib

# JAX compiles every operation for every shape: once for all workers, and for
# the next run. Before JAX is imported.
_CACHE = pathlib.Path(__file__).parent / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# Most programs run once, so compiling them takes most of the time: a quarter of
# it without optimizing machine code, and a tenth less without splitting a
# program into 32 parts. `make test-slow` runs all tests with the optimizations
# of XLA, and `contracts.in_one_program` on request.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false "
    "--xla_cpu_parallel_codegen_split_count=1",
)

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

# Imported by tests; another import, for its examples, registers other classes.
collect_ignore = ["tests/tiny_autoencoder.py"]


def pytest_collection_finish():
    """Lets the garbage collector pass over modules and collected tests.

    They live until the end, and a single `gc.collect()` over them takes as long
    as ten tests. Traced programs are many objects, few of them garbage: by
    default, the collector takes a twentieth of the time of the tests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _names(doctest_namespace):
    doctest_namespace.update(keras=keras, np=np)
