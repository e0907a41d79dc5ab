import numpy as np
import pytest
from keras import ops
from scipy import special

import contracts
from keras_drift.ops import barycentres
from keras_drift.ops import log_sum_exp

NOTHING = float("-inf")


@pytest.fixture
def logits():
    rng = np.random.default_rng(0)
    return rng.normal(scale=3, size=(2, 3, 4)).astype("float32")


@pytest.mark.parametrize("axis", [-1, -2, 1])
def test_log_sum_exp(logits, axis):
    found = contracts.numpy(log_sum_exp(ops.convert_to_tensor(logits), axis))
    np.testing.assert_allclose(
        found, special.logsumexp(logits, axis=axis), rtol=1e-5
    )


@pytest.mark.parametrize("shift", [-1e12, -1e4, 1e4, 1e12])
def test_log_sum_exp_far_from_zero(shift):
    logits = ops.convert_to_tensor([[shift, shift]], "float32")
    found = contracts.numpy(log_sum_exp(logits, -1))
    np.testing.assert_allclose(found, [shift + np.log(2)], rtol=1e-6)


def test_log_sum_exp_of_nothing_is_minus_infinity():
    logits = ops.convert_to_tensor([[NOTHING, NOTHING], [NOTHING, 2.0]])
    found = contracts.numpy(log_sum_exp(logits, -1))
    assert found[0] == NOTHING
    np.testing.assert_allclose(found[1], 2)


def test_barycentres_are_weighted_means(logits):
    rng = np.random.default_rng(1)
    points = rng.normal(size=(2, 4, 5)).astype("float32")
    means, log_mass = barycentres(ops.convert_to_tensor(logits), points)
    for group in range(2):
        for row in range(3):
            weights = np.exp(logits[group, row].astype("float64"))
            np.testing.assert_allclose(
                contracts.numpy(means)[group, row],
                np.average(points[group], axis=0, weights=weights),
                rtol=1e-4,
                atol=1e-6,
            )
    np.testing.assert_allclose(
        contracts.numpy(log_mass), special.logsumexp(logits, -1), rtol=1e-5
    )


def test_barycentres_of_empty_rows_are_zero_without_mass():
    logits = ops.convert_to_tensor([[NOTHING, NOTHING], [NOTHING, -1e6]])
    points = ops.convert_to_tensor([[1.0, 2.0], [3.0, 4.0]])
    means, log_mass = barycentres(logits, points)
    np.testing.assert_array_equal(contracts.numpy(means), [[0, 0], [3, 4]])
    np.testing.assert_array_equal(contracts.numpy(log_mass), [NOTHING, -1e6])


def test_barycentres_broadcast_the_points_over_bandwidths(logits):
    points = np.ones((2, 4, 5), "float32")
    stacked = ops.convert_to_tensor(np.stack([logits] * 3))
    means, log_mass = barycentres(stacked, points)
    assert tuple(means.shape) == (3, 2, 3, 5)
    assert tuple(log_mass.shape) == (3, 2, 3)


def test_gradients_are_the_softmax(logits):
    at = logits[0, 0]
    found = contracts.gradient(lambda x: log_sum_exp(x, -1), at)
    np.testing.assert_allclose(found, special.softmax(at), atol=1e-5)
    points = np.arange(4.0, dtype="float32")[:, None]
    found = contracts.gradient(
        lambda x: ops.sum(barycentres(x[None], points)[0]), at
    )
    share = special.softmax(at)
    expected = share * (points[:, 0] - share @ points[:, 0])
    np.testing.assert_allclose(found, expected, atol=1e-5)
