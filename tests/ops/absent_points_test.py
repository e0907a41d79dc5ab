"""A point of weight zero is absent, whatever its coordinates hold."""

import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import backend
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import barycenters
from keras_drift.ops import dual_field
from keras_drift.ops import half_squared_distances
from keras_drift.ops import mean_cost
from keras_drift.ops import mean_shifts
from keras_drift.ops import official_dual_field
from keras_drift.ops import quantile_means
from keras_drift.ops import row_field
from keras_drift.ops import sinkhorn
from keras_drift.ops import sliced_transport
from keras_drift.ops import unnormalized_field

PADDINGS = [1e12, np.inf, np.nan]


def log_kernel(cost):
    return -2.0 * cost


def of_pairs(x, cloud):
    pairs = Pairs(x, cloud)
    others = Pairs(x, PointCloud(x, None, contains_samples=True))
    log_kernels = [log_kernel]
    ((means, log_mass),) = barycenters(pairs, log_kernels)
    ((steps, *_),) = mean_shifts(pairs, log_kernels, log_kernels)
    fields = [
        field(log_kernels, pairs, others)[0]
        for field in (row_field, dual_field, unnormalized_field)
    ]
    return [means, log_mass, steps, *fields, mean_cost(pairs, others)]


def of_transport(x, cloud):
    pairs = Pairs(x, cloud, half_squared_distances)
    plan = sinkhorn(pairs, 0.5, 3)
    own = sinkhorn(pairs.of(cloud.points), 0.5, 3, symmetric=True)
    sliced = sliced_transport(x, cloud, 4)
    return [plan.means(), plan.value(), own.value(), sliced]


def of_official(x, cloud):
    others = PointCloud(x, None, contains_samples=True)
    return official_dual_field([log_kernel], x, cloud, others)


@pytest.mark.parametrize(
    ("function", "dim"),
    # Distances by differences, and by products.
    [(of_pairs, 2), (of_pairs, 9), (of_transport, 2)],
)
def test_padding_changes_no_value_and_no_gradient(function, dim):
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(2, n, dim)).astype("float32") for n in (4, 7))
    weights = np.array([[1, 0, 2, 0, 1, 1, 0], [0, 1, 1, 3, 0, 0, 1]], "f4")

    @contracts.in_one_program
    def values_and_gradients(x, y):
        def compute(x, y):
            return function(x, PointCloud(y, ops.array(weights)))

        def total(x, y):
            return sum(ops.sum(each) for each in compute(x, y))

        x, y = ops.array(x), ops.array(y)
        slopes = (
            backend.gradient(lambda x: total(x, y), x),
            backend.gradient(lambda y: total(x, y), y),
        )
        return [*compute(x, y), *slopes]

    expected = [contracts.numpy(each) for each in values_and_gradients(x, y)]
    assert all(np.all(np.isfinite(each)) for each in expected)
    for padding in PADDINGS:
        padded = np.where(weights[..., None] == 0, padding, y).astype("float32")
        found = [contracts.numpy(v) for v in values_and_gradients(x, padded)]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found[-1][weights == 0], 0)


@pytest.mark.parametrize("dim", [2, 9])
def test_padding_changes_nothing_in_the_official_field(dim):
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(1, n, dim)).astype("float32") for n in (4, 5))
    weights = np.array([[1, 0, 2, 0, 1]], "float32")

    @contracts.in_one_program
    def field(x, y):
        cloud = PointCloud(ops.array(y), ops.array(weights))
        return of_official(ops.array(x), cloud)[0]

    # Near, it would take part in the softmaxes, as in the release.
    far, *found = (
        contracts.numpy(
            field(x, np.where(weights[..., None] == 0, v, y).astype("f4"))
        )
        for v in (1e6, *PADDINGS)
    )
    for each in found:
        np.testing.assert_allclose(each, far, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("padding", PADDINGS)
def test_padding_is_matched_with_no_sample_on_a_line(padding):
    values = np.array([[3.0, padding, 1.0, padding, 2.0]], "float32")
    weights = ops.array([[1.0, 0.0, 1.0, 0.0, 2.0]])
    found = contracts.in_one_program(lambda v: quantile_means(v, 2, weights))(
        ops.array(values)
    )
    np.testing.assert_allclose(contracts.numpy(found), [[1.5, 2.5]], atol=1e-6)


@pytest.mark.parametrize("function", [of_pairs, of_transport])
def test_a_group_of_nothing_but_padding_is_finite(function):
    x = ops.array(np.random.default_rng(0).normal(size=(1, 3, 2)), "float32")
    weights = ops.zeros((1, 4))

    @contracts.in_one_program
    def compute(points):
        cloud = PointCloud(ops.array(points), weights)
        return function(x, cloud), sliced_transport(x, cloud, 4)

    for padding in PADDINGS:
        found, empty = compute(np.full((1, 4, 2), padding, "float32"))
        for each in found:
            each = contracts.numpy(each)
            assert not np.any(np.isnan(each) | (each == np.inf))
        assert contracts.numpy(empty) == 0
