import numpy as np
import pytest
from keras import ops
from scipy import optimize
from scipy import special
from scipy.spatial import distance as scipy_distance

import contracts
from keras_drift.ops import Cloud
from keras_drift.ops import Pairs
from keras_drift.ops import half_squared_distances
from keras_drift.ops import sinkhorn


def draw(*size, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=size).astype("float32")


def plan_means(x, y, epsilon, weights=None, block_size=None, num_steps=100):
    def compute(x, y, weights):
        pairs = Pairs(x, Cloud(y, weights), half_squared_distances, block_size)
        return sinkhorn(pairs, epsilon, num_steps).means()

    x, y = ops.convert_to_tensor(x), ops.convert_to_tensor(y)
    if weights is not None:
        weights = ops.convert_to_tensor(weights)
    means = contracts.in_one_program(compute)(x, y, weights)
    return contracts.numpy(means)


def means_by_hand(x, y, epsilon, weights, num_steps=100):
    """Sinkhorn's iterations on the whole matrix, float64."""
    cost = 0.5 * scipy_distance.cdist(x, y, "sqeuclidean")
    share = weights / weights.sum()
    g = np.zeros(len(y))
    for _ in range(num_steps):
        f = -epsilon * special.logsumexp((g - cost) / epsilon, 1, share)
        g = -epsilon * special.logsumexp(
            (f[:, None] - cost) / epsilon, 0, 1 / len(x)
        )
    f = -epsilon * special.logsumexp((g - cost) / epsilon, 1, share)
    plan = np.exp((f[:, None] + g - cost) / epsilon) * share
    np.testing.assert_allclose(plan.sum(1), 1, rtol=1e-9)
    return plan @ y


@pytest.mark.parametrize("block_size", [None, (3, 4)])
@pytest.mark.parametrize("epsilon", [0.05, 1.0])
def test_plan_of_the_whole_matrix(epsilon, block_size):
    x, y = draw(2, 5, 3), draw(2, 7, 3, seed=1) + 1
    weights = np.abs(draw(2, 7, seed=2)) + 0.5
    found = plan_means(x, y, epsilon, weights, block_size)
    for group in range(2):
        arrays = (a[group].astype("float64") for a in (x, y))
        expected = means_by_hand(
            *arrays, epsilon, weights[group].astype("float64")
        )
        np.testing.assert_allclose(found[group], expected, atol=2e-4)


def test_small_entropy_is_the_best_assignment():
    x, y = draw(1, 6, 2), draw(1, 6, 2, seed=1)
    cost = scipy_distance.cdist(x[0], y[0], "sqeuclidean")
    _, partner = optimize.linear_sum_assignment(cost)
    found = plan_means(x, y, 1e-3, num_steps=2000)
    np.testing.assert_allclose(found[0], y[0][partner], atol=1e-2)


def test_large_entropy_is_the_mean():
    x, y = draw(1, 5, 2), draw(1, 7, 2, seed=1)
    found = plan_means(x, y, 1e5)
    expected = np.broadcast_to(y.mean(1, keepdims=True), x.shape)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_weights_count_points():
    x, y = draw(1, 5, 2), draw(1, 3, 2, seed=1)
    repeated = np.repeat(y, [1, 2, 3], axis=1)
    weights = np.array([[1.0, 2.0, 3.0]], "float32")
    np.testing.assert_allclose(
        plan_means(x, y, 0.3, weights),
        plan_means(x, repeated, 0.3),
        atol=1e-5,
    )


def test_samples_without_points_stay_where_they_are():
    x, y = draw(2, 3, 2), draw(2, 4, 2, seed=1)
    weights = np.array([[0.0] * 4, [1.0] * 4], "float32")
    found = plan_means(x, y, 0.3, weights)
    np.testing.assert_array_equal(found[0], x[0])
    alone = plan_means(x[1:], y[1:], 0.3)
    np.testing.assert_allclose(found[1:], alone, atol=1e-5)


def test_names_what_cannot_be():
    x = ops.convert_to_tensor(draw(1, 2, 2))
    with pytest.raises(ValueError, match="num_steps=0"):
        sinkhorn(Pairs(x, Cloud(x)), 1.0, num_steps=0)
    with pytest.raises(ValueError, match=r"epsilon=-1\.0"):
        sinkhorn(Pairs(x, Cloud(x)), -1.0)
    with pytest.raises(ValueError, match=r"points\.shape=\(1, 0, 2\)"):
        Pairs(x, Cloud(ops.zeros((1, 0, 2))))
