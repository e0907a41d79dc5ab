import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import backend
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import barycenters
from keras_drift.ops import mean_displacements
from keras_drift.ops import mean_shifts
from keras_drift.ops import weighted_sums
from pairs_by_hand import BLOCK_SIZES
from pairs_by_hand import GROUPS
from pairs_by_hand import LOG_KERNELS
from pairs_by_hand import POINTS
from pairs_by_hand import SAMPLES
from pairs_by_hand import close
from pairs_by_hand import each_block_size
from pairs_by_hand import near


@pytest.mark.parametrize(
    ("block_size", "few"), [*((size, 8) for size in BLOCK_SIZES), ((3, 4), 0)]
)
def test_mean_displacements(monkeypatch, case, block_size, few):
    monkeypatch.setattr("keras_drift.ops.means.FEW_COORDINATES", few)
    found = contracts.in_one_program(
        lambda: mean_displacements(case.pairs(block_size), LOG_KERNELS)
    )()
    ways = case.points[:, None] - case.x[:, :, None].astype("float64")
    mass = case.counts.sum(axis=2)[..., None]
    for pulls, log_kernel in zip(found, LOG_KERNELS, strict=True):
        weights = case.counts * np.exp(log_kernel(case.costs))
        close(pulls, np.einsum("gij,gijk->gik", weights, ways) / mass)


def test_a_sum_over_very_many_points_loses_no_digits():
    n, m = 4, 2**18
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, n, 2)).astype("float32")
    # All on one side, so that their pulls do not cancel.
    y = 5 + rng.normal(size=(1, m, 2)).astype("float32")
    pairs = Pairs(
        ops.convert_to_tensor(x), PointCloud(ops.convert_to_tensor(y))
    )
    assert pairs.is_whole
    (found,) = contracts.in_one_program(
        lambda: mean_displacements(pairs, [lambda cost: 0.0 * cost])
    )()
    exact = y.astype("float64").mean(axis=1, keepdims=True) - x
    # Accelerators add in an order of their own: four units in the last place.
    rtol = 1e-6 if backend.has_accelerator() else 5e-7
    np.testing.assert_allclose(contracts.numpy(found), exact, rtol=rtol)


def test_a_mean_of_no_pulls_is_zero():
    x = ops.ones((1, 1, 2))
    close(
        mean_displacements(Pairs(x, PointCloud(x, None, True)), [near])[0],
        [[[0, 0]]],
    )


@each_block_size
def test_barycenters_are_weighted_means(case, block_size):
    found = contracts.in_one_program(
        lambda: barycenters(case.pairs(block_size), LOG_KERNELS)
    )()
    for (means, log_mass), log_kernel in zip(found, LOG_KERNELS, strict=True):
        weights = case.counts * np.exp(log_kernel(case.costs))
        mass = weights.sum(axis=2)
        close(means, weights @ case.points / mass[..., None], atol=1e-5)
        close(log_mass, np.log(mass))


@pytest.mark.parametrize("corrected", [False, True])
@each_block_size
def test_mean_pulls_are_weighted_means(case, block_size, corrected):
    rng = np.random.default_rng(1)
    logs = rng.normal(size=(2, GROUPS, POINTS)).astype("float32")
    found = contracts.in_one_program(
        lambda: mean_shifts(
            case.pairs(block_size),
            LOG_KERNELS,
            LOG_KERNELS[::-1],
            [*logs],
            corrected,
        )
    )()
    for k, (steps, pull, log_mass) in enumerate(found):
        costs = case.costs
        similar = np.exp(LOG_KERNELS[k](costs) + logs[k][:, None, :])
        weights = case.counts * similar
        mass = weights.sum(axis=2, keepdims=True)
        shares = weights / mass
        if corrected:
            copies = np.maximum(case.weights[:, None, :], 1)
            squares = shares**2 / copies
            sums = squares.sum(axis=2, keepdims=True)
            shares = shares + squares - sums * shares
            # Positive, and of the same sum.
            assert np.all(shares >= 0)
            close(shares.sum(axis=2), np.ones(mass.shape[:2]))
        pulling = shares * np.exp(LOG_KERNELS[1 - k](costs))
        strength = pulling.sum(axis=2, keepdims=True)
        expected = pulling @ case.points - strength * case.x
        close(steps, expected, rtol=1e-4, atol=1e-5)
        close(pull, strength, rtol=1e-4)
        close(log_mass, np.log(mass[..., 0]), rtol=1e-4, atol=1e-5)


@each_block_size
def test_weighted_sums_take_logs_of_rows_and_columns(case, block_size):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(2, GROUPS, SAMPLES)).astype("float32")
    columns = rng.normal(size=(2, GROUPS, POINTS)).astype("float32")
    found = contracts.in_one_program(
        lambda: weighted_sums(
            case.pairs(block_size),
            LOG_KERNELS,
            [*rows],
            [*columns],
        )
    )()
    for k, (sums, mass) in enumerate(found):
        logs = LOG_KERNELS[k](case.costs)
        logs = logs + rows[k][:, :, None] + columns[k][:, None, :]
        weights = case.counts * np.exp(logs)
        close(sums, weights @ case.points, rtol=1e-4, atol=1e-5)
        close(mass, weights.sum(axis=2))
