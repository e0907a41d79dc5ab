import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import backend
from keras_drift.ops import PointCloud
from keras_drift.ops import join
from keras_drift.ops import mask_absent
from keras_drift.ops.point_cloud import safe_log

NOTHING = float("-inf")


def points(*size):
    return ops.convert_to_tensor(
        np.random.default_rng(0).normal(size=size), "float32"
    )


def test_weights_are_ones_by_default():
    weights = contracts.numpy(PointCloud(points(2, 3, 1)).dense_weights())
    np.testing.assert_array_equal(weights, np.ones((2, 3)))
    given = ops.convert_to_tensor([[1.0, 0.0, 4.0]])
    weights = contracts.numpy(
        PointCloud(points(1, 3, 1), given).dense_weights()
    )
    np.testing.assert_array_equal(weights, [[1, 0, 4]])


def test_the_log_of_a_zero_weight_has_a_finite_gradient():
    weights = np.array([[1.0, 0.0, 4.0]], "float32")
    logs = contracts.numpy(safe_log(ops.convert_to_tensor(weights)))
    np.testing.assert_allclose(logs, [[0, NOTHING, np.log(4)]], rtol=1e-6)
    found = contracts.gradient(lambda w: ops.sum(ops.exp(safe_log(w))), weights)
    np.testing.assert_allclose(found, [[1, 0, 1]], atol=1e-6)


def test_join_puts_the_first_ahead():
    first, second = PointCloud(points(2, 3, 4)), PointCloud(points(2, 2, 4))
    joined = join(first, second)
    assert joined.weights is None
    assert not joined.contains_samples
    np.testing.assert_array_equal(
        contracts.numpy(joined.points),
        np.concatenate(
            [contracts.numpy(first.points), contracts.numpy(second.points)], 1
        ),
    )


def test_join_keeps_the_samples():
    assert join(PointCloud(points(1, 3, 2), None, True), None).contains_samples
    both = join(
        PointCloud(points(1, 3, 2), None, True), PointCloud(points(1, 2, 2))
    )
    assert both.contains_samples


@pytest.mark.parametrize("weighted", ["first", "second", "both"])
def test_join_fills_missing_weights_with_ones(weighted):
    two, three = ops.full((1, 2), 2.0), ops.full((1, 3), 3.0)
    first = PointCloud(points(1, 2, 4), None if weighted == "second" else two)
    second = PointCloud(points(1, 3, 4), None if weighted == "first" else three)
    expected = {
        "first": [[2, 2, 1, 1, 1]],
        "second": [[1, 1, 3, 3, 3]],
        "both": [[2, 2, 3, 3, 3]],
    }
    np.testing.assert_array_equal(
        contracts.numpy(join(first, second).weights), expected[weighted]
    )


@pytest.mark.parametrize("padding", [1e12, np.inf, -np.inf, np.nan])
def test_points_of_weight_zero_become_the_mean_of_those_present(padding):
    cloud = np.array([[[1, 2], [padding] * 2, [5, 8]], [[padding] * 2] * 3])
    weights = np.array([[0.5, 0, 3], [0, 0, 0]], "float32")
    cloud, weights = ops.array(cloud, "float32"), ops.array(weights)
    found = contracts.numpy(mask_absent(cloud, weights))
    expected = [[[1, 2], [3, 5], [5, 8]], [[0, 0]] * 3]
    np.testing.assert_array_equal(found, expected)
    masked = PointCloud(cloud, weights, True).masked()
    np.testing.assert_array_equal(contracts.numpy(masked.points), expected)
    assert masked.weights is weights
    assert masked.contains_samples


def test_replaced_points_have_no_gradient():
    cloud = np.array([[1.0, 2.0], [np.nan, np.inf], [5.0, 8.0]], "float32")
    weights = ops.array([1.0, 0.0, 2.0])

    def function(points):
        return ops.sum(ops.square(mask_absent(points, weights)))

    slope = contracts.numpy(backend.gradient(function, ops.array(cloud)))
    np.testing.assert_array_equal(slope, [[2, 4], [0, 0], [10, 16]])


def test_nothing_is_computed_without_weights():
    cloud = PointCloud(points(1, 3, 2))
    assert cloud.masked() is cloud
    assert mask_absent(cloud.points, None) is cloud.points
