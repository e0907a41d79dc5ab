import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import counts_within
from keras_drift.ops import nearest_costs
from keras_drift.ops import nearest_points
from keras_drift.ops import neighbor_radii
from pairs_by_hand import GROUPS
from pairs_by_hand import POINTS
from pairs_by_hand import SAMPLES
from pairs_by_hand import Case
from pairs_by_hand import close
from pairs_by_hand import each_block_size


@pytest.fixture(params=["weighted", "with samples", "plain"])
def case(request):
    return Case(request.param == "weighted", request.param != "plain")


@each_block_size
def test_nearest_costs_and_points(case, block_size):
    def found():
        pairs = case.pairs(block_size)
        return (
            nearest_costs(pairs),
            nearest_costs(pairs, 4),
            nearest_points(pairs),
        )

    one, four, points = contracts.in_one_program(found)()
    costs = np.where(case.counts > 0, case.costs, np.inf)
    expected = np.sort(costs, axis=-1)
    close(one, expected[..., :1])
    close(four, expected[..., :4])
    assert np.array_equal(contracts.numpy(points), costs.argmin(axis=-1))


@each_block_size
def test_counts_within(case, block_size):
    # Between two costs, so that rounding decides nothing.
    rng = np.random.default_rng(1)
    radii = rng.uniform(0.5, 2.0, (GROUPS, POINTS)).astype("float32")
    assert np.abs(case.costs - radii[:, None]).min() > 1e-5
    found = contracts.in_one_program(
        lambda: counts_within(case.pairs(block_size), ops.array(radii))
    )()
    inside = case.costs <= radii[:, None]
    close(found, np.sum(inside * case.counts, axis=-1))


def test_missing_neighbors_are_infinitely_far():
    x = ops.zeros((1, 2, 3))
    pairs = Pairs(x, PointCloud(x, contains_samples=True))
    found = contracts.numpy(nearest_costs(pairs, 3))
    assert np.array_equal(found, np.tile([0.0, np.inf, np.inf], (1, 2, 1)))


def test_the_lowest_index_wins():
    x = ops.array([[[0.0], [5.0]]])
    points = ops.array([[[1.0], [-1.0], [4.0], [6.0]]])
    for block_size in (None, 1, (2, 3)):
        pairs = Pairs(x, PointCloud(points), block_size=block_size)
        found = contracts.numpy(nearest_points(pairs))
        assert found.tolist() == [[0, 2]]


@each_block_size
@pytest.mark.parametrize("k", [1, 3, 5, 40])
def test_neighbor_radii(case, block_size, k):
    """A ball grows point by point until it holds the weight."""
    found = contracts.in_one_program(
        lambda: neighbor_radii(case.pairs(block_size), k)
    )()
    expected = np.zeros((GROUPS, SAMPLES))
    for g in range(GROUPS):
        for i in range(SAMPLES):
            count = 0.0
            for j in np.argsort(case.costs[g, i]):
                weight = case.counts[g, i, j]
                if weight > 0 and count < k:
                    expected[g, i] = case.costs[g, i, j]
                    count += max(weight, 1.0)
    close(found, expected)


def test_radii_of_no_points_are_zero():
    x = ops.zeros((1, 1, 3))
    for weights in (None, ops.ones((1, 1))):
        pairs = Pairs(x, PointCloud(x, weights, contains_samples=True))
        assert contracts.numpy(neighbor_radii(pairs, 2)).tolist() == [[0.0]]
