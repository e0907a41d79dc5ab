"""Reductions over pairs that are spread over eight devices."""

import pathlib

import numpy as np
import pytest

import contracts
import on_devices

pytestmark = pytest.mark.skipif(
    not contracts.ON_JAX, reason="`keras.distribution` is JAX's"
)

SCRIPT = pathlib.Path(__file__).with_name("spread_pairs_cases.py")


def test_devices_compute_the_sums_and_gradients_of_one():
    alone, together = on_devices.results_of(SCRIPT)
    for name, expected in alone.items():
        for found, each in zip(together[name], expected, strict=True):
            assert np.all(np.isfinite(each))
            np.testing.assert_allclose(
                found, each, rtol=1e-4, atol=1e-4, err_msg=name
            )
