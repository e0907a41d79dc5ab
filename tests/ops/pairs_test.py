import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import cut


def draw(*size):
    rng = np.random.default_rng(0)
    return ops.convert_to_tensor(rng.normal(size=size).astype("float32"))


def count_and_sum(pairs):
    """How often each sample and each point was met, and by what cost."""

    def start(groups, size):
        return ops.zeros((groups, size, 1)), ops.zeros((groups, size, 1))

    def function(rows, columns, block):
        ones = block.fill(ops.ones_like(block.costs), 0.0)
        costs = block.fill(block.costs, 0.0)
        rows = tuple(
            state + ops.sum(v, axis=2, keepdims=True)
            for state, v in zip(rows, (ones, costs), strict=True)
        )
        columns = tuple(
            state + ops.sum(v, axis=1)[..., None]
            for state, v in zip(columns, (ones, costs), strict=True)
        )
        return rows, columns

    return contracts.in_one_program(
        lambda: pairs.fold(function, start, start)
    )()


@pytest.mark.parametrize("limit", [1, 12, 40, 1000])
@pytest.mark.parametrize("contains_samples", [False, True])
def test_every_pair_is_met_once(monkeypatch, limit, contains_samples):
    """Whatever is cut: groups, samples, points, or nothing."""
    for name in ("_PAIRS_ON_CPU", "_PAIRS_ON_ACCELERATOR"):
        monkeypatch.setattr(cut, name, limit)
    x, y = draw(5, 4, 3), draw(5, 7, 3)
    y = ops.concatenate([x, y], axis=1)
    pairs = Pairs(x, PointCloud(y, None, contains_samples))
    assert pairs.is_whole == (limit == 1000)
    rows, columns = count_and_sum(pairs)
    present = np.ones((4, 11)) - contains_samples * np.eye(4, 11)
    costs = contracts.numpy(pairs.cost(x, y)) * present
    for found, expected in (
        (rows[0], np.tile(present.sum(1), (5, 1))),
        (columns[0], np.tile(present.sum(0), (5, 1))),
        (rows[1], costs.sum(2)),
        (columns[1], costs.sum(1)),
    ):
        np.testing.assert_allclose(
            contracts.numpy(found)[..., 0], expected, rtol=1e-5, atol=1e-5
        )


def test_rows_and_columns_come_with_their_block():
    x, y = draw(2, 5, 1), draw(2, 7, 1)
    rows = ops.convert_to_tensor(np.arange(10.0).reshape(2, 5, 1), "float32")
    columns = ops.convert_to_tensor(np.arange(14.0).reshape(2, 7, 1), "float32")
    pairs = Pairs(x, PointCloud(y), block_size=(2, 3))

    def function(state, _, block):
        total = state[0] + ops.sum(
            block.fill(
                block.rows[0] * ops.swapaxes(block.columns[0], 1, 2), 0.0
            ),
            axis=2,
            keepdims=True,
        )
        return (total,), ()

    (found,), _ = pairs.fold(
        function,
        lambda groups, size: (ops.zeros((groups, size, 1)),),
        lambda groups, size: (),
        (rows,),
        (columns,),
    )
    expected = contracts.numpy(rows) * contracts.numpy(columns).sum(
        1, keepdims=True
    )
    np.testing.assert_allclose(contracts.numpy(found), expected)


def test_costs_of_any_kind():
    x, y = draw(2, 3, 2), draw(2, 4, 2)

    def furthest(x, y):
        return ops.max(ops.abs(x[:, :, None] - y[:, None]), axis=-1)

    block = Pairs(x, PointCloud(y), cost=furthest).whole()
    np.testing.assert_allclose(
        contracts.numpy(block.costs), contracts.numpy(furthest(x, y))
    )


def test_weight_sums_leave_the_sample_itself_out():
    x = draw(2, 3, 2)
    weights = np.array([[1.0, 2, 0, 5, 1], [4, 0, 0, 0, 0]], "float32")
    points = ops.concatenate([x, draw(2, 2, 2)], axis=1)
    for contains_samples, own in ((False, 0), (True, weights[:, :3])):
        cloud = PointCloud(
            points, ops.convert_to_tensor(weights), contains_samples
        )
        np.testing.assert_array_equal(
            contracts.numpy(Pairs(x, cloud).weight_sums()),
            weights.sum(axis=1, keepdims=True) - own + np.zeros((2, 3)),
        )
    np.testing.assert_array_equal(
        contracts.numpy(Pairs(x, PointCloud(points, None, True)).weight_sums()),
        4,
    )


def test_other_samples_keep_the_points_and_how_they_are_compared():
    x, other, points = draw(2, 3, 2), draw(2, 4, 2) + 1, draw(2, 5, 2)

    def cost(x, y):
        return x[..., :, None, 0] - y[..., None, :, 1]

    pairs = Pairs(x, PointCloud(points), cost, 2).of(other)
    assert pairs.block_size == 2
    assert pairs.x is other
    found = Pairs(x, PointCloud(points), cost).of(other).whole().costs
    np.testing.assert_array_equal(
        contracts.numpy(found), contracts.numpy(cost(other, points))
    )


def test_a_total_weight_counts_the_pairs():
    x = draw(1, 2, 1)
    y = ops.concatenate([x, draw(1, 1, 1)], axis=1)
    weights = ops.convert_to_tensor([[2.0, 3.0, 5.0]])
    assert float(Pairs(x, PointCloud(y, weights)).total_weight()) == 20
    excluded = Pairs(x, PointCloud(y, weights, True))
    assert float(excluded.total_weight()) == 15


@pytest.mark.parametrize(
    ("shape", "whole"),
    [
        ((1, 512, 1024), True),
        ((1, 4096, 4096), False),
        ((64, 64, 144), True),
        ((5000, 16, 80), False),
        ((1, 1, 10**6), True),
        ((1, 10**4, 10**4), False),
    ],
)
def test_blocks_fit_into_caches(monkeypatch, shape, whole):
    """Near their limit, neither far above nor far below."""
    limit = 2**19
    monkeypatch.setattr(cut, "_PAIRS_ON_CPU", limit)
    monkeypatch.setattr(cut.backend, "has_accelerator", lambda: False)
    sizes = cut.block_shape(*shape, dim=2, block_size=None)
    assert (sizes == (None, None, None)) == whole
    if not whole:
        assert limit / 4 < np.prod(sizes) <= limit


def test_groups_are_cut_without_padding_where_they_can_be(monkeypatch):
    """Padding is a copy of all samples and points."""
    monkeypatch.setattr(cut.backend, "has_accelerator", lambda: False)
    pairs = 128, 128
    assert cut.block_shape(1254, *pairs, 16, None) == (22, *pairs)
    # Of a prime number, blocks would be single groups.
    assert cut.block_shape(1259, *pairs, 16, None) == (32, *pairs)


@pytest.mark.parametrize(
    ("sizes", "pieces"),
    [
        ((6, 10), (2, 5)),
        ((6, 10), (4, 4)),
        ((6, 10), (1, 4)),
        ((6, 10), (4, None)),
        ((5, 10), (None, 3)),
    ],
)
def test_what_was_cut_is_put_together(sizes, pieces):
    x = draw(*sizes, 3)
    cuts = tuple(map(cut.Cut, sizes, pieces))
    blocks = contracts.numpy(cut.split(x, *cuts))
    np.testing.assert_array_equal(cut.merge(blocks, *cuts), x)
    groups, size = (one.piece for one in cuts)
    padded = [(0, one.padding) for one in cuts]
    x = np.pad(contracts.numpy(x), [*padded, (0, 0)])
    for i, j in np.ndindex(*blocks.shape[:2]):
        of_groups = slice(i * groups, (i + 1) * groups)
        of_points = slice(j * size, (j + 1) * size)
        np.testing.assert_array_equal(blocks[i, j], x[of_groups, of_points])


def test_names_a_block_size_that_cannot_be():
    x = draw(1, 2, 1)
    with pytest.raises(ValueError, match="block_size=0"):
        Pairs(x, PointCloud(x), block_size=0)
    with pytest.raises(TypeError, match=r"block_size=1\.5"):
        Pairs(x, PointCloud(x), block_size=(1.5, 2))
    with pytest.raises(ValueError, match=r"block_size=\(1, 2, 3\)"):
        Pairs(x, PointCloud(x), block_size=(1, 2, 3))


@pytest.mark.parametrize("limit", [1, 12, 40, 1000])
def test_units_of_samples_and_points_divide_costs(monkeypatch, limit):
    """Given at once or one after the other, in one block or in many."""
    for name in ("_PAIRS_ON_CPU", "_PAIRS_ON_ACCELERATOR"):
        monkeypatch.setattr(cut, name, limit)
    rng = np.random.default_rng(1)
    x, y = draw(5, 4, 3), draw(5, 7, 3)
    of_samples, of_points = (
        rng.uniform(0.5, 2.0, size).astype("float32")
        for size in ((5, 4, 1), (5, 7))
    )
    costs = np.linalg.norm(
        contracts.numpy(x)[:, :, None] - contracts.numpy(y)[:, None], axis=-1
    )
    costs = costs / of_samples / of_points[:, None]
    units = [ops.convert_to_tensor(v) for v in (of_samples, of_points)]
    weights = ops.ones((5, 7))
    for pairs in (
        Pairs(x, PointCloud(y, weights), unit=units[0], point_unit=units[1]),
        Pairs(x, PointCloud(y))
        .in_units_of(units[0] / 2)
        .in_units_of(2 * ops.ones((5, 1, 1)), units[1]),
    ):
        (_, over_points), (_, over_samples) = count_and_sum(pairs)
        for found, axis in ((over_points, 2), (over_samples, 1)):
            np.testing.assert_allclose(
                contracts.numpy(found)[..., 0], costs.sum(axis), rtol=1e-5
            )
