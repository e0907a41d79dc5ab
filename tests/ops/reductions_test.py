import numpy as np
import pytest
from keras import ops
from scipy import special

import contracts
from keras_drift.ops import Block
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import barycenters
from keras_drift.ops import geometric_softmax
from keras_drift.ops import log_sum_exp
from keras_drift.ops import log_sum_over_points
from keras_drift.ops import log_sum_over_samples
from keras_drift.ops import mean_cost
from keras_drift.ops import mean_over_points
from keras_drift.ops import mean_similarity
from keras_drift.ops import weighted_sums
from keras_drift.ops.block import side_by_side
from pairs_by_hand import GROUPS
from pairs_by_hand import LOG_KERNELS
from pairs_by_hand import POINTS
from pairs_by_hand import SAMPLES
from pairs_by_hand import Case
from pairs_by_hand import close
from pairs_by_hand import each_block_size
from pairs_by_hand import far
from pairs_by_hand import near

NOTHING = float("-inf")


@each_block_size
def test_mean_cost(case, block_size):
    found = contracts.in_one_program(
        lambda: mean_cost(case.pairs(block_size), case.pairs())
    )()
    close(found, np.average(case.costs, weights=case.counts))


def test_mean_cost_of_nothing_is_zero():
    x = ops.ones((1, 1, 2))
    assert float(mean_cost(Pairs(x, PointCloud(x, None, True)))) == 0


@each_block_size
def test_mean_similarity(case, block_size):
    found = contracts.in_one_program(
        lambda: mean_similarity(case.pairs(block_size), LOG_KERNELS)
    )()
    values = np.mean(
        [np.exp(log_kernel(case.costs)) for log_kernel in LOG_KERNELS], axis=0
    )
    close(found, np.average(values, weights=case.counts))


@each_block_size
def test_log_sums_with_logs_of_rows_and_columns(case, block_size):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(GROUPS, SAMPLES)).astype("float32")
    columns = rng.normal(size=(GROUPS, POINTS)).astype("float32")
    over_points, over_samples = contracts.in_one_program(
        lambda: (
            log_sum_over_points(case.pairs(block_size), near, columns),
            log_sum_over_samples(case.pairs(block_size), near, rows),
        )
    )()
    logits = near(case.costs)
    with_columns = logits + columns[:, None, :]
    close(over_points, special.logsumexp(with_columns, 2, case.counts))
    with_rows = logits + rows[:, :, None]
    close(over_samples, special.logsumexp(with_rows, 1, case.present))


@each_block_size
def test_log_sum_exp_in_both_directions(case, block_size):
    found = contracts.in_one_program(
        lambda: log_sum_exp(case.pairs(block_size), LOG_KERNELS)
    )()
    for (over_points, over_samples), log_kernel in zip(
        found, LOG_KERNELS, strict=True
    ):
        logits = log_kernel(case.costs)
        close(over_points, special.logsumexp(logits, 2, case.counts))
        close(over_samples, special.logsumexp(logits, 1, case.present))


@pytest.mark.parametrize("shift", [-1e12, -1e4, 1e4, 1e12])
@pytest.mark.parametrize("block_size", [None, (1, 1)])
def test_scores_far_from_zero(shift, block_size):
    x, y = np.zeros((1, 1, 1), "float32"), np.zeros((1, 2, 1), "float32")
    pairs = Pairs(
        x, PointCloud(ops.convert_to_tensor(y)), block_size=block_size
    )
    ((over_points, over_samples),) = log_sum_exp(pairs, [lambda c: c + shift])
    close(over_points, [[shift + np.log(2)]])
    close(over_samples, [[shift, shift]])
    ((means, log_mass),) = barycenters(pairs, [lambda c: c + shift])
    close(means, [[[0.0]]])
    close(log_mass, [[shift + np.log(2)]])


@pytest.mark.parametrize("block_size", [None, (1, 1)])
def test_sums_of_nothing(block_size):
    x = ops.convert_to_tensor([[[1.0], [4.0]]])
    nobody = PointCloud(x, ops.zeros((1, 2)), True)
    pairs = Pairs(x, nobody, block_size=block_size)
    ((over_points, _),) = log_sum_exp(pairs, [near])
    close(over_points, [[NOTHING, NOTHING]])
    ((means, log_mass),) = barycenters(pairs, [near])
    close(means, np.zeros((1, 2, 1)))
    close(log_mass, [[NOTHING, NOTHING]])
    infinite = ops.full((1, 2), float("inf"))
    ((sums, mass),) = weighted_sums(pairs, [near], [infinite], [infinite])
    close(sums, np.zeros((1, 2, 1)))
    close(mass, np.zeros((1, 2)))


def test_geometric_softmax_of_two_sets(case):
    """Against softmaxes of SciPy, of both sets side by side."""
    other = Case(weighted=not case.weighted, contains_samples=False)
    blocks = [each.pairs().whole() for each in (case, other)]
    assert all(isinstance(block, Block) for block in blocks)
    found = geometric_softmax(blocks, near)
    (together,) = geometric_softmax([side_by_side(blocks)], near)
    close(together, np.concatenate(list(map(contracts.numpy, found)), axis=-1))
    logits = [near(each.costs) for each in (case, other)]
    with np.errstate(divide="ignore"):
        weighed = [
            each + np.log(c.counts)
            for each, c in zip(logits, (case, other), strict=True)
        ]
    over_points = special.softmax(np.concatenate(weighed, 2), axis=2)
    over_points = np.split(over_points, [POINTS], axis=2)
    for each, c, rows, means in zip(
        logits, (case, other), over_points, found, strict=True
    ):
        columns = special.softmax(np.where(c.present, each, NOTHING), axis=1)
        columns = columns * c.counts
        close(means, np.sqrt(rows * columns), atol=1e-7)


@pytest.mark.parametrize("block_size", [None, (2, 3)])
def test_gradients_are_the_softmax(block_size):
    case = Case(weighted=False, contains_samples=False)
    x = case.x[:1]

    def pairs(x):
        cloud = PointCloud(ops.convert_to_tensor(case.points[:1] + 5))
        return Pairs(x, cloud, block_size=block_size)

    found = contracts.gradient(
        lambda x: ops.sum(log_sum_exp(pairs(x), [far])[0][0]), x
    )
    gaps = x[0][:, None] - (case.points[0] + 5)[None]
    weights = special.softmax(-0.5 * np.sum(gaps**2, -1), axis=1)
    expected = -np.einsum("nm,nmd->nd", weights, gaps)
    np.testing.assert_allclose(found[0], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("block_size", [None, (1, 1)])
def test_points_with_infinite_logs_are_absent(block_size):
    x = ops.convert_to_tensor([[[0.0]]])
    y = ops.convert_to_tensor([[[1.0], [2.0]]])
    pairs = Pairs(x, PointCloud(y), block_size=block_size)
    for infinite in (NOTHING, -NOTHING):
        logs = ops.convert_to_tensor([[0.0, infinite]])
        close(log_sum_over_points(pairs, near, logs), [[-3.0]])
        alone = ops.convert_to_tensor([[infinite]])
        close(log_sum_over_samples(pairs, near, alone), [[NOTHING, NOTHING]])


@pytest.mark.parametrize("block_size", [None, (1, 1)])
def test_weightless_points_do_not_overflow(block_size):
    """A point of no weight may be nearer than all that count."""
    x = ops.convert_to_tensor([[[0.0], [400.0]]])
    cloud = PointCloud(x, ops.convert_to_tensor([[0.0, 1.0]]))
    pairs = Pairs(x, cloud, block_size=block_size)
    rows = [ops.convert_to_tensor([[200.0, 0.0]])]
    columns = [ops.convert_to_tensor([[0.0, 0.0]])]
    ((sums, mass),) = weighted_sums(pairs, [lambda c: -c], rows, columns)
    close(mass, [[0.0, 1.0]])
    close(sums, [[[0.0], [400.0]]])


@pytest.mark.parametrize("block_size", [None, (1, 1)])
def test_numbers_that_are_none_stay_so(block_size):
    x = ops.convert_to_tensor([[[0.0], [1.0]]])
    y = ops.convert_to_tensor([[[float("nan")], [2.0]]])
    pairs = Pairs(x, PointCloud(y), block_size=block_size)
    ((means, log_mass),) = barycenters(pairs, [near])
    assert np.all(np.isnan(contracts.numpy(means)))
    assert np.all(np.isnan(contracts.numpy(log_mass)))


@each_block_size
@pytest.mark.parametrize("contains_samples", [True, False])
def test_mean_over_points(contains_samples, block_size):
    case = Case(contains_samples=contains_samples)
    values = np.exp(near(case.costs))
    expected = np.sum(case.counts * values, -1) / np.sum(case.counts, -1)

    @contracts.in_one_program
    def function(x):
        pairs = case.pairs(block_size)
        return mean_over_points(pairs, lambda costs: ops.exp(near(costs)))

    found = contracts.numpy(function(case.x))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_mean_over_no_points_is_zero():
    cloud = PointCloud(ops.ones((1, 2, 1)), ops.zeros((1, 2)))
    pairs = Pairs(ops.zeros((1, 3, 1)), cloud)
    means = mean_over_points(pairs, lambda costs: costs)
    np.testing.assert_array_equal(contracts.numpy(means), np.zeros((1, 3)))
