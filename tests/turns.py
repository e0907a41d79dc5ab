"""Tests of whole commands and long trainings: on two backends in `make test`.

Compiling their programs takes long: PyTorch, which does not, runs all of them,
JAX or TensorFlow some. `make test-slow` runs all on all.
"""

import itertools

import keras
import pytest


def is_slow(backend):
    """Whether `make test` leaves a test out here, and `make test-slow` runs it.

    Args:
        backend: the one that runs it beside PyTorch; `"torch"` for none.
    """
    return keras.backend.backend() not in ("torch", backend)


def beside_torch_on(backend):
    """Decorator of a test that `make test` runs on two backends."""
    return pytest.mark.slow if is_slow(backend) else lambda test: test


def in_turn(values):
    """Parameters, of which JAX and TensorFlow run a third each."""
    backends = itertools.cycle(("jax", "tensorflow", "torch"))
    return [
        pytest.param(value, marks=[pytest.mark.slow] * is_slow(backend))
        for value, backend in zip(values, backends, strict=False)
    ]
