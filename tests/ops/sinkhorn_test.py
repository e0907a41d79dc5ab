import numpy as np
import pytest
from keras import ops
from scipy import optimize
from scipy import special
from scipy.spatial import distance as scipy_distance

import contracts
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import half_squared_distances
from keras_drift.ops import sinkhorn


def draw(*size, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=size).astype("float32")


def plan_means(x, y, epsilon, weights=None, block_size=None, num_steps=100):
    def compute(x, y, weights):
        pairs = Pairs(
            x, PointCloud(y, weights), half_squared_distances, block_size
        )
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
    found = plan_means(x, y, epsilon, weights, block_size, num_steps=20)
    for group in range(2):
        arrays = (a[group].astype("float64") for a in (x, y))
        expected = means_by_hand(
            *arrays, epsilon, weights[group].astype("float64"), num_steps=20
        )
        np.testing.assert_allclose(found[group], expected, atol=2e-4)


def test_small_entropy_is_the_best_assignment():
    x, y = draw(1, 6, 2), draw(1, 6, 2, seed=1)
    cost = scipy_distance.cdist(x[0], y[0], "sqeuclidean")
    _, partner = optimize.linear_sum_assignment(cost)
    found = plan_means(x, y, 2e-3, num_steps=500)
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


def plan_parts(
    x,
    y,
    *args,
    weights=None,
    contains_samples=False,
    optimized=False,
    **kwargs,
):
    """Means, potentials and value of a plan between two arrays."""

    def compute(x, y, weights):
        cloud = PointCloud(y, weights, contains_samples)
        block_size = kwargs.pop("block_size", None)
        pairs = Pairs(x, cloud, half_squared_distances, block_size)
        plan = sinkhorn(pairs, *args, **kwargs)
        potentials = plan.sample_potential, plan.point_potential
        return plan.means(), *potentials, plan.value()

    x, y = ops.convert_to_tensor(x), ops.convert_to_tensor(y)
    if weights is not None:
        weights = ops.convert_to_tensor(weights)
    program = contracts.in_one_program(compute, optimized)
    found = program(x, y, weights)
    return [contracts.numpy(part) for part in found]


def plan_by_hand(x, y, epsilon, weights, absent=None, num_steps=1000):
    """The converged plan and the value of the primal, float64."""
    y, weights = y[weights > 0], weights[weights > 0]
    cost = 0.5 * scipy_distance.cdist(x, y, "sqeuclidean")
    mass = np.outer(np.full(len(x), 1 / len(x)), weights / weights.sum())
    kernel = mass * np.exp(-cost / epsilon)
    if absent is not None:
        kernel[absent] = 0
    rows, columns = np.ones(len(x)), np.ones(len(y))
    for _ in range(num_steps):
        columns = mass.sum(0) / (rows @ kernel)
        rows = mass.sum(1) / (kernel @ columns)
    plan = rows[:, None] * kernel * columns
    logs = special.xlogy(plan, plan / np.where(mass > 0, mass, 1))
    value = (plan * cost).sum() + epsilon * logs.sum()
    return len(x) * plan @ y, value


@pytest.mark.parametrize("block_size", [None, (3, 4)])
def test_value_is_that_of_the_primal(block_size):
    x, y = draw(2, 5, 3), draw(2, 7, 3, seed=1) + 1
    weights = np.array([[1, 2, 0.5, 0, 1, 3, 1], [1, 1, 1, 1, 0, 0, 4]])
    weights = weights.astype("float32")
    means, f, g, values = plan_parts(
        x, y, 1.0, 30, weights=weights, block_size=block_size
    )
    for group in range(2):
        arrays = [a[group].astype("float64") for a in (x, y)]
        w = weights[group].astype("float64")
        expected, value = plan_by_hand(*arrays, 1.0, w)
        np.testing.assert_allclose(means[group], expected, atol=1e-4)
        assert values[group] == pytest.approx(value, rel=1e-5)
        # The potentials say the same as the means.
        cost = 0.5 * scipy_distance.cdist(*arrays, "sqeuclidean")
        plan = np.exp(f[group][:, None] + g[group] - cost) * w / w.sum()
        np.testing.assert_allclose(plan.sum(1), 1, rtol=1e-4)
        np.testing.assert_allclose(plan @ y[group], expected, atol=1e-3)


@pytest.mark.parametrize("block_size", [None, (3, 4)])
@pytest.mark.parametrize("excluded", [False, True])
def test_symmetric_update_of_a_cloud_with_itself(excluded, block_size):
    x = draw(2, 6, 3)
    means, _, _, values = plan_parts(
        x,
        x,
        1.0,
        # With self-pairs it is there after a few steps.
        num_steps=40 if excluded else 10,
        symmetric=True,
        contains_samples=excluded,
        block_size=block_size,
    )
    for group in range(2):
        points = x[group].astype("float64")
        absent = np.eye(6, dtype=bool) if excluded else None
        expected, value = plan_by_hand(points, points, 1.0, np.ones(6), absent)
        np.testing.assert_allclose(means[group], expected, atol=1e-3)
        assert values[group] == pytest.approx(value, abs=1e-4)


def test_no_steps_leave_a_softmax_of_the_rows():
    x, y = draw(2, 5, 3), draw(2, 7, 3, seed=1)
    cost = 0.5 * np.stack(
        [
            scipy_distance.cdist(*pair, "sqeuclidean")
            for pair in zip(x, y, strict=True)
        ]
    )
    means = plan_parts(x, y, 0.7, num_steps=0)[0]
    shares = special.softmax(-cost / 0.7, axis=-1)
    np.testing.assert_allclose(means, shares @ y, atol=1e-5)


def test_a_start_saves_steps():
    x, y = draw(2, 5, 3), draw(2, 7, 3, seed=1)
    expected, _, potential, _ = plan_parts(x, y, 0.5, num_steps=200)
    start = ops.convert_to_tensor(potential)
    warm = plan_parts(x, y, 0.5, num_steps=1, start=start)[0]
    cold = plan_parts(x, y, 0.5, num_steps=1)[0]
    np.testing.assert_allclose(warm, expected, atol=1e-4)
    assert np.abs(cold - expected).max() > 1e-2


@pytest.mark.parametrize("symmetric", [False, True])
def test_tolerance_stops_each_group_on_its_own(symmetric):
    # The second group is so wide that it takes many more steps.
    x = draw(2, 6, 3) * np.array([[[0.3]], [[2.0]]], "float32")
    y = x if symmetric else draw(2, 6, 3, seed=1) * x.std((1, 2), keepdims=True)
    options = {"symmetric": symmetric, "num_steps": 100}
    exact = plan_parts(x, y, 1.0, **options)[2]
    found = plan_parts(x, y, 1.0, tolerance=1e-3, **options)[2]
    loose = plan_parts(x, y, 1.0, tolerance=0.1, **options)[2]
    for group in range(2):
        error = np.abs(found[group] - exact[group]).max()
        assert 1e-6 < error < 2e-2
        assert error < 0.3 * np.abs(loose[group] - exact[group]).max()
    # As alone.
    for tolerance, together in ((1e-3, found), (0.1, loose)):
        alone = plan_parts(x[:1], y[:1], 1.0, tolerance=tolerance, **options)
        np.testing.assert_allclose(alone[2], together[:1], atol=1e-5)


@pytest.mark.parametrize("symmetric", [False, True])
def test_tolerance_is_the_mass_that_points_receive_wrongly(symmetric):
    x = draw(1, 6, 3)
    y = x if symmetric else draw(1, 6, 3, seed=1)
    cost = 0.5 * scipy_distance.cdist(x[0], y[0], "sqeuclidean")

    def error(num_steps, **options):
        _, f, g, _ = plan_parts(
            x, y, 0.5, num_steps, symmetric=symmetric, **options
        )
        rows = g if symmetric else f
        plan = np.exp((rows[0][:, None] + g[0] - cost) / 0.5) / 36
        return np.abs(plan.sum(0) - 1 / 6).sum()

    stopped = error(60, tolerance=0.01)
    assert stopped <= 0.01
    needed = next(k for k in range(1, 99) if error(k) <= 0.01)
    assert stopped == pytest.approx(error(needed), rel=1e-3)


def test_extreme_costs_stay_finite():
    x, y = draw(1, 5, 3), draw(1, 7, 3, seed=1)
    for scale in (1e-6, 1e6):
        # Optimized: a maximum of 1e15 and the number that it is the maximum of
        # differ by more than `exp` can express unless one instruction makes
        # both.
        found = plan_parts(
            scale * x, scale * y, 1e-3, num_steps=5, optimized=True
        )
        assert all(np.all(np.isfinite(part)) for part in found)


def test_names_what_cannot_be():
    x = ops.convert_to_tensor(draw(1, 2, 2))
    with pytest.raises(ValueError, match="num_steps=-1"):
        sinkhorn(Pairs(x, PointCloud(x)), 1.0, num_steps=-1)
    with pytest.raises(ValueError, match=r"epsilon=-1\.0"):
        sinkhorn(Pairs(x, PointCloud(x)), -1.0)
    with pytest.raises(ValueError, match=r"tolerance=0"):
        sinkhorn(Pairs(x, PointCloud(x)), 1.0, tolerance=0)
    with pytest.raises(ValueError, match=r"points\.shape=\(1, 0, 2\)"):
        Pairs(x, PointCloud(ops.zeros((1, 0, 2))))
