import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import backend
from keras_drift.ops import PointCloud
from keras_drift.ops import joint_quantiles
from keras_drift.ops import quantile_means
from keras_drift.ops import slice_directions
from keras_drift.ops import sliced_transport


@pytest.mark.parametrize(("num", "dim"), [(7, 1), (7, 3), (2, 5)])
def test_directions_are_unit_vectors_in_orthogonal_blocks(num, dim):
    lines = slice_directions(num, dim, 0)
    assert lines.shape == (num if dim > 1 else 1, dim)
    for start in range(0, len(lines), dim):
        block = lines[start : start + dim]
        np.testing.assert_allclose(
            block @ block.T, np.eye(len(block)), atol=1e-6
        )


@pytest.mark.parametrize(("n", "m"), [(5, 5), (6, 4), (3, 7)])
def test_joint_quantiles_move_all_mass(n, m):
    x_index, y_index, mass = joint_quantiles(n, m)
    np.testing.assert_allclose(np.bincount(x_index, mass), 1 / n, rtol=1e-6)
    np.testing.assert_allclose(np.bincount(y_index, mass), 1 / m, rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "m"), [(5, 5), (6, 4), (3, 7), (1, 4), (4, 1)])
def test_quantile_means(n, m, weighted):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 3, m)).astype("float32")
    counts = rng.integers(0, 4, size=(2, 3, m)) if weighted else None
    if weighted:
        counts[..., 0] += 1

    def compute(values, weights):
        return quantile_means(values, n, weights)

    weights = ops.cast(counts, "float32") if weighted else None
    found = contracts.in_one_program(compute)(values=values, weights=weights)
    for index in np.ndindex(2, 3):
        points = np.sort(values[index].astype("float64"))
        if weighted:
            order = np.argsort(values[index])
            points = np.repeat(points, counts[index][order])
        # As many copies of each as there are samples: cells of one size.
        expected = np.repeat(points, n).reshape(n, -1).mean(1)
        np.testing.assert_allclose(
            contracts.numpy(found)[index], expected, atol=1e-6
        )


def test_a_tiny_weight_at_the_end_of_the_only_cell_adds_nothing():
    values = np.array([[0.0, 1.0, 9.0]], "float32")
    weights = np.array([[1.0, 1.0, 1e-11]], "float32")
    found = contracts.numpy(quantile_means(values, 1, weights))
    np.testing.assert_allclose(found, [[0.5]], atol=1e-6)


def exact_quantile_means(values, weights, n):
    """In float64, by the antiderivative of the quantile function."""
    order = np.argsort(values)
    values, weights = (v[order].astype("float64") for v in (values, weights))
    levels = np.append(0.0, np.cumsum(weights))
    levels *= n / levels[-1]
    sums = np.append(0.0, np.cumsum(np.diff(levels) * values))
    return np.diff(np.interp(np.arange(n + 1), levels, sums))


@pytest.mark.parametrize("kind", ["random", "equal", "one heavy"])
def test_weighted_means_of_very_many_points_lose_no_digits(kind):
    n = 2**16
    rng = np.random.default_rng(0)
    values = rng.normal(size=n).astype("float32")
    weights = rng.uniform(0, 2, n) if kind == "random" else np.full(n, 0.3)
    weights = weights.astype("float32")
    if kind == "one heavy":  # spans half of the samples
        weights[5] = weights.sum()
    found = contracts.in_one_program(lambda v, w: quantile_means(v, n, w))(
        ops.array(values), ops.array(weights)
    )
    errors = contracts.numpy(found) - exact_quantile_means(values, weights, n)
    assert np.sqrt(np.mean(errors**2)) < 1e-6
    assert np.abs(errors).max() < 1e-4  # of the extreme points


def test_weighted_transport_of_very_many_points_loses_no_digits():
    n, m = 2**16, 2**16 - 1
    rng = np.random.default_rng(0)
    # Near each other, so that the noise of the levels would count.
    x, y = (rng.normal(size=size).astype("float32") for size in (n, m))
    weights = rng.uniform(0, 2, m).astype("float32")
    found = contracts.in_one_program(
        lambda x, y, w: sliced_transport(x, PointCloud(y, w), 1)
    )(*(ops.array(v[None]) for v in (x[:, None], y[:, None], weights)))
    order = np.argsort(y)
    levels = np.cumsum(weights[order].astype("float64"))
    levels /= levels[-1]
    ends = np.union1d(levels, np.arange(1, n + 1) / n)
    mass = np.diff(ends, prepend=0)
    middle = ends - mass / 2
    gaps = np.sort(x)[np.minimum((middle * n).astype(int), n - 1)]
    gaps = gaps.astype("float64") - y[order][np.searchsorted(levels, middle)]
    exact = np.sum(mass * gaps**2)
    np.testing.assert_allclose(contracts.numpy(found), [exact], rtol=3e-5)


@pytest.mark.parametrize("n", [1, 3])
def test_a_gradient_reaches_the_points_by_their_mass(n):
    weights = ops.array([2.0, 1.0, 0.0, 3.0])
    values = ops.array([4.0, 1.0, 9.0, 2.0])
    slope = contracts.in_one_program(
        lambda values: backend.gradient(
            lambda v: ops.mean(quantile_means(v, n, weights)), values
        )
    )(values)
    expected = np.array([2.0, 1.0, 0.0, 3.0]) / 6
    np.testing.assert_allclose(contracts.numpy(slope), expected, atol=1e-6)


def test_cached_arrays_cannot_be_written_to():
    for array in (slice_directions(4, 2, 0), *joint_quantiles(3, 4)):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
