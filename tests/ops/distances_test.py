import keras
import numpy as np
import pytest
from keras import ops
from scipy.spatial import distance as scipy_distance

import contracts
from keras_drift import backend
from keras_drift import ops as drift_ops

pairwise_distances = contracts.in_one_program(drift_ops.pairwise_distances)
squared_distances = contracts.in_one_program(drift_ops.squared_distances)

DIMS = (1, 2, 8, 9, 64, 640)


def draw(dim, offset=0.0, spread=1.0):
    rng = np.random.default_rng(dim)
    sizes = ((2, 5, dim), (2, 7, dim))
    # In float32 before the reference is computed: only our own digits count.
    return [
        (offset + spread * rng.normal(size=size)).astype("float32")
        for size in sizes
    ]


def by_scipy(x, y):
    pairs = zip(x.astype("float64"), y.astype("float64"), strict=True)
    return np.stack([scipy_distance.cdist(a, b) for a, b in pairs])


@pytest.mark.parametrize("spread", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("dim", DIMS)
def test_are_euclidean(dim, spread):
    x, y = draw(dim, spread=spread)
    np.testing.assert_allclose(
        contracts.numpy(pairwise_distances(x, y)), by_scipy(x, y), rtol=1e-5
    )
    np.testing.assert_allclose(
        contracts.numpy(squared_distances(x, y)), by_scipy(x, y) ** 2, rtol=1e-5
    )


@pytest.mark.parametrize("dim", DIMS)
def test_a_common_offset_costs_no_digits(dim):
    x, y = draw(dim, offset=1e3)
    np.testing.assert_allclose(
        contracts.numpy(pairwise_distances(x, y)), by_scipy(x, y), rtol=1e-5
    )


def test_numbers_that_are_none_have_no_distance():
    for dim in DIMS:
        x, y = draw(dim)
        x[0, 1, 0] = np.nan
        found = contracts.numpy(pairwise_distances(x, y))
        assert np.all(np.isnan(found[0, 1]))


@pytest.mark.parametrize("dim", DIMS)
def test_far_apart_clouds(dim):
    x, y = draw(dim)
    y = y + np.float32(1e6)
    np.testing.assert_allclose(
        contracts.numpy(pairwise_distances(x, y)), by_scipy(x, y), rtol=1e-6
    )


def test_take_single_sets_and_more_axes():
    x, y = draw(3)
    alone = contracts.numpy(pairwise_distances(x[0], y[0]))
    np.testing.assert_allclose(alone, by_scipy(x[:1], y[:1])[0], rtol=1e-5)
    stacked = pairwise_distances(x[None], y[None])
    assert tuple(stacked.shape) == (1, 2, 5, 7)
    shared = pairwise_distances(x[:, None], y[None])
    assert tuple(shared.shape) == (2, 2, 5, 7)


@pytest.mark.parametrize("dtype", contracts.HALVES)
def test_half_precision_is_computed_in_float32(dtype):
    x, y = (ops.cast(array, dtype) for array in draw(2))
    distances = pairwise_distances(x, y)
    assert keras.backend.standardize_dtype(distances.dtype) == "float32"
    x, y = (contracts.numpy(ops.cast(a, "float32")) for a in (x, y))
    np.testing.assert_allclose(
        contracts.numpy(distances), by_scipy(x, y), rtol=1e-5
    )


@pytest.mark.parametrize("dim", [2, 8])
def test_coincident_points_are_at_distance_zero(dim):
    x, _ = draw(dim, offset=3.0)
    same = contracts.numpy(pairwise_distances(x, x))
    assert np.all(np.diagonal(same, axis1=1, axis2=2) == 0)


@pytest.mark.parametrize("dim", [9, 64, 640])
def test_coincident_points_in_many_dimensions_are_at_rounding_distance(dim):
    x, _ = draw(dim, offset=3.0)
    same = contracts.numpy(pairwise_distances(x, x))
    diagonal = np.diagonal(same, axis1=1, axis2=2)
    assert np.all(diagonal <= 2e-3 * same.max())


@pytest.mark.parametrize("dim", [2, 9])
def test_gradient_at_coincident_points_is_zero(dim):
    point = np.full((1, dim), 0.5, "float32")
    found = contracts.gradient(
        lambda x: ops.sum(pairwise_distances(x, point)), point
    )
    np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize("dim", [2, 9])
def test_gradient_elsewhere_is_the_unit_vector(dim):
    point = np.zeros((1, dim), "float32")
    x = point.copy()
    x[0, :2] = 3.0, 4.0
    found = contracts.gradient(
        lambda x: ops.sum(pairwise_distances(x, np.repeat(point, 2, 0))), x
    )
    expected = np.zeros((1, dim))
    expected[0, :2] = 2 * 0.6, 2 * 0.8
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_log_distance_is_infinite_where_points_coincide():
    distance = ops.convert_to_tensor([0.0, 3e-19, 1e-6, 2.0, 1e30])
    found = contracts.numpy(drift_ops.log_distance(distance))
    expected = [np.inf, np.inf, *np.log([1e-6, 2.0, 1e30])]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_origin_has_no_direction_and_no_gradient():
    points = np.array([[3.0, 4.0], [0.0, 0.0], [1e-25, 0.0]], "float32")
    unit = contracts.numpy(drift_ops.unit_vectors(ops.array(points)))
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0], [0, 0]], rtol=1e-6)
    slope = contracts.in_one_program(
        lambda x: backend.gradient(
            lambda x: ops.sum(drift_ops.unit_vectors(x)[:, 0]), x
        )
    )(ops.array(points))
    expected = [[0.64 / 5, -0.48 / 5], [0, 0], [0, 0]]
    np.testing.assert_allclose(contracts.numpy(slope), expected, atol=1e-7)
