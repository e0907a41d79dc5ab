import functools

import keras
import numpy as np
import pytest
from scipy import optimize
from scipy import special
from scipy import stats
from scipy.spatial import distance as scipy_distance

import contracts
from keras_drift import DriftModel
from keras_drift import callbacks
from keras_drift import drifts
from keras_drift import generators
from keras_drift import kernels
from keras_drift import schedules
from keras_drift.drifts import SinkhornDrift

assert_close = functools.partial(contracts.assert_close, tolerance=2e-4)

# Wide enough to converge in few steps.
EPSILON = 1.5


def velocity(*clouds, weights=None, **kwargs):
    """All in one program: many steps are slow one by one."""
    if "blur" not in kwargs:
        epsilon = np.asarray(kwargs.pop("epsilon", EPSILON))
        power = 1 if kwargs.get("cost") == "distance" else 0.5
        kwargs["blur"] = epsilon**power
    drift = SinkhornDrift(**{"num_steps": 30, **kwargs})
    function = contracts.in_one_program(drift)
    return contracts.numpy(function(*clouds, **(weights or {})))


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(2, size, 3)) for size in (5, 7, 6)]


def costs(x, y, cost):
    if cost == "squared":
        return 0.5 * scipy_distance.cdist(x, y, "sqeuclidean")
    return scipy_distance.cdist(x, y)


def plan_by_hand(x, y, epsilon, cost="squared", weights=None, excluded=False):
    """Scaling iterations on the whole kernel, to convergence, float64."""
    weights = np.ones(len(y)) if weights is None else weights
    y, weights = y[weights > 0], weights[weights > 0]
    kernel = np.exp(-costs(x, y, cost) / epsilon)
    if excluded:
        np.fill_diagonal(kernel, 0)
    columns = np.ones(len(y))
    for _ in range(1000):
        rows = 1 / len(x) / (kernel @ columns)
        columns = weights / weights.sum() / (rows @ kernel)
    rows = 1 / len(x) / (kernel @ columns)
    plan = rows[:, None] * kernel * columns
    return plan, len(x) * plan @ y


def test_contract():
    contracts.check_drift(
        SinkhornDrift,
        init_kwargs={
            "blur": [0.5],
            "cost": "distance",
            "num_steps": 1,
            "tolerance": 1e-3,
            "relative": True,
        },
        x=(2, 5, 3),
        positives=(2, 7, 3),
        negatives=(2, 6, 3),
    )


@pytest.mark.parametrize("cost", ["squared", "distance"])
@pytest.mark.parametrize(
    "self_interaction", ["excluded", "included", "independent"]
)
def test_matches_the_plans_by_hand(clouds, self_interaction, cost):
    x, y, z = clouds
    weights = {
        "positive_weights": np.array([[1, 2, 0.5, 0, 1, 3, 1.0]] * 2),
    }
    given = [z] if self_interaction == "independent" else []
    found = velocity(
        x,
        y,
        *given,
        weights=weights,
        cost=cost,
        self_interaction=self_interaction,
    )
    for g in range(2):
        _, near = plan_by_hand(
            x[g], y[g], EPSILON, cost, weights["positive_weights"][g]
        )
        z_g = z[g] if given else x[g]
        excluded = self_interaction == "excluded"
        _, here = plan_by_hand(x[g], z_g, EPSILON, cost, excluded=excluded)
        assert_close(found[g], near - here)


@pytest.mark.parametrize("self_interaction", ["excluded", "included"])
def test_unconditional_points_take_their_share_of_the_mass(
    clouds, self_interaction
):
    x, y, u = clouds
    shares = np.array([[0.5, 0.5, 0, 1, 1, 0.2]] * 2)
    found = velocity(
        x,
        y,
        weights={"unconditional": u, "unconditional_weights": shares},
        self_interaction=self_interaction,
    )
    for g in range(2):
        _, near = plan_by_hand(x[g], y[g], EPSILON)
        _, here = plan_by_hand(
            x[g],
            np.concatenate([x[g], u[g]]),
            EPSILON,
            weights=np.concatenate([np.ones(5), shares[g]]),
            excluded=self_interaction == "excluded",
        )
        assert_close(found[g], near - here)


def test_is_the_flow_of_the_sinkhorn_divergence(clouds):
    """Papers, 3.3: by finite differences of the value, float64."""
    x, y, _ = (cloud[0] for cloud in clouds)

    def transport(x, y):
        plan, _ = plan_by_hand(x, y, EPSILON)
        entropy = special.xlogy(plan, plan * len(x) * len(y)).sum()
        return (plan * costs(x, y, "squared")).sum() + EPSILON * entropy

    def divergence(x):
        return transport(x, y) - transport(x, x) / 2 - transport(y, y) / 2

    expected = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        ends = []
        for step in (-1e-4, 1e-4):
            moved = x.copy()
            moved[index] += step
            ends.append(divergence(moved))
        expected[index] = -len(x) * (ends[1] - ends[0]) / 2e-4
    assert_close(velocity(x, y, self_interaction="included"), expected)


@pytest.mark.parametrize("self_interaction", ["included", "independent"])
def test_gaussians_are_known_in_closed_form(self_interaction):
    # Papers, 4.1. Quantiles in place of random samples: no noise.
    quantiles = stats.norm.ppf((np.arange(1500) + 0.5) / 1500)[:, None]
    mean_q, std_q, mean_p, std_p = -0.5, 1.2, 1.0, 0.7
    x, y = mean_q + std_q * quantiles, mean_p + std_p * quantiles

    def covariance(a, b):
        root = np.sqrt(EPSILON**2 + 4 * a**2 * b**2)
        return (root - EPSILON) / 2

    slope = covariance(std_q, std_p) - covariance(std_q, std_q)
    expected = mean_p - mean_q + slope / std_q**2 * (x - mean_q)
    given = [x] if self_interaction == "independent" else []
    found = velocity(
        x, y, *given, self_interaction=self_interaction, num_steps=8
    )
    bulk = np.abs(quantiles[:, 0]) < 2  # the tails are cut in a sample
    np.testing.assert_allclose(found[bulk], expected[bulk], atol=1e-3)


@pytest.mark.parametrize(
    ("cost", "kernel"),
    [
        ("squared", kernels.Gaussian(0.7)),
        ("distance", kernels.Laplacian(0.7)),
    ],
)
def test_without_steps_it_is_the_kernel_drift(clouds, cost, kernel):
    # Papers, 3.2: one projection is a softmax of the rows.
    epsilon = 0.7**2 if cost == "squared" else 0.7
    for mode in ("excluded", "included"):
        plain = drifts.KernelDrift(kernel, "row", self_interaction=mode)
        plain = contracts.in_one_program(plain)(*clouds[:2])
        found = velocity(
            *clouds[:2],
            epsilon=epsilon,
            cost=cost,
            num_steps=0,
            self_interaction=mode,
        )
        assert_close(found, contracts.numpy(plain))


def test_one_step_projects_on_both_marginals(clouds):
    x, y, z = (cloud[0] for cloud in clouds)

    def means(y):
        kernel = np.exp(-costs(x, y, "squared") / EPSILON)
        kernel /= kernel.sum(1, keepdims=True)
        kernel /= kernel.sum(0, keepdims=True)
        kernel /= kernel.sum(1, keepdims=True)
        return kernel @ y

    assert_close(velocity(x, y, z, num_steps=1), means(y) - means(z))


def test_a_large_epsilon_takes_one_step_to_the_mean(clouds):
    x, y, z = clouds
    step = y.mean(1, keepdims=True) - z.mean(1, keepdims=True)
    for cost in ("squared", "distance"):
        found = velocity(x, y, z, epsilon=1e5, cost=cost, num_steps=2)
        assert_close(found, np.repeat(step, 5, axis=1), tolerance=1e-3)


def test_a_small_epsilon_assigns(clouds):
    x = clouds[0]
    y = x[:, ::-1] + 0.3 * clouds[1][:, :5]
    found = velocity(x, y, epsilon=0.02, self_interaction="included")
    for g in range(2):
        cost = costs(x[g], y[g], "squared")
        _, partner = optimize.linear_sum_assignment(cost)
        assert_close(found[g], y[g][partner] - x[g], tolerance=3e-2)


def test_only_an_independent_batch_is_without_bias():
    """Papers, 0.3: how much samples of the data would shrink or grow."""
    rng = np.random.default_rng(0)
    x, y, z = rng.normal(size=(3, 100, 32, 8))
    radial = {}
    for mode in ("independent", "excluded", "included"):
        given = [z] if mode == "independent" else []
        found = velocity(
            x, y, *given, epsilon=0.5, num_steps=10, self_interaction=mode
        )
        radial[mode] = np.mean(np.sum(found * x, axis=-1)) / 8
    assert abs(radial["independent"]) < 0.02
    assert -0.06 < radial["excluded"] < 0.02
    assert -0.5 < radial["included"] < -0.35


def test_rests_where_the_positives_are_the_negatives(clouds):
    x, y, _ = clouds
    np.testing.assert_allclose(velocity(x, y, y), 0, atol=1e-6)
    np.testing.assert_allclose(velocity(x, y, y[:, ::-1]), 0, atol=1e-5)
    converged = velocity(x, x, self_interaction="included")
    np.testing.assert_allclose(converged, 0, atol=1e-4)


def test_turns_round_when_the_roles_are_swapped(clouds):
    x, y, z = clouds
    assert_close(velocity(x, y, z), -velocity(x, z, y))


@pytest.mark.parametrize(("cost", "power"), [("squared", 2), ("distance", 1)])
def test_scales_with_lengths(clouds, cost, power):
    larger = [10 * cloud for cloud in clouds]
    options = {"cost": cost, "num_steps": 5}
    found = velocity(*larger, epsilon=EPSILON * 10**power, **options)
    assert_close(found, 10 * velocity(*clouds, **options))
    # In units of the data there is nothing to scale.
    options |= {"relative": True, "blur": 0.5}
    assert_close(
        velocity(*larger, **options), 10 * velocity(*clouds, **options)
    )


@pytest.mark.parametrize("cost", ["squared", "distance"])
def test_a_relative_blur_is_in_units_of_a_mean_distance(clouds, cost):
    x, y, z = clouds
    points = np.concatenate([y, z], axis=1)
    distances = [
        scipy_distance.cdist(*pair) for pair in zip(x, points, strict=True)
    ]
    power = 2 if cost == "squared" else 1
    length = np.mean(np.power(distances, power)) ** (1 / power)
    options = {"cost": cost, "num_steps": 5}
    found = velocity(x, y, z, blur=0.5, relative=True, **options)
    assert_close(found, velocity(x, y, z, blur=0.5 * length, **options))


def test_the_default_blur_is_an_epsilon_of_a_twentieth(clouds):
    blur = SinkhornDrift().get_config()["blur"]
    assert blur**2 == pytest.approx(0.05, rel=0.05)
    drift = SinkhornDrift(num_steps=5)
    found = contracts.in_one_program(drift)(*clouds)
    expected = velocity(*clouds, epsilon=blur**2, num_steps=5)
    assert_close(contracts.numpy(found), expected)


@pytest.mark.parametrize("cost", ["squared", "distance"])
def test_a_schedule_sets_a_length(cost):
    drift = SinkhornDrift([0.5, 2.0], cost=cost)
    drift.anneal(1.0)
    np.testing.assert_allclose(contracts.numpy(drift.bandwidth), [0.25, 1.0])


def test_several_epsilons_are_averaged(clouds):
    both = velocity(*clouds, epsilon=[0.5, 2.0])
    alone = [velocity(*clouds, epsilon=each) for each in (0.5, 2.0)]
    assert_close(both, np.mean(alone, axis=0))


def test_lone_and_absent_points_stay_finite(clouds):
    x, y, _ = clouds
    lone = x[:, :1]
    found = velocity(lone, y, self_interaction="excluded")
    assert_close(found, y.mean(1, keepdims=True) - lone)
    nothing = {
        "positive_weights": np.zeros((2, 7)),
        "negative_weights": np.zeros((2, 6)),
    }
    for tolerance in (None, 0.1):
        found = velocity(*clouds, weights=nothing, tolerance=tolerance)
        np.testing.assert_array_equal(found, 0)


def test_extremes_stay_finite(clouds):
    x, y, _ = clouds
    for mode in ("excluded", "included"):
        for blur in (1e-3, 1e3):
            drift = SinkhornDrift(blur, num_steps=3, self_interaction=mode)
            # As for users: see `test_extreme_costs_stay_finite` of `ops`.
            drift = contracts.in_one_program(drift, optimized=True)
            for case in ((x, y + 1e6), (1e6 * x, 1e6 * y), (0 * x, 0 * y)):
                found = contracts.numpy(drift(*case))
                assert np.all(np.isfinite(found))


@pytest.mark.parametrize("tolerance", [None, 1e-2])
def test_gradients_through_the_field_stay_finite(clouds, tolerance):
    x, y, _ = (cloud.astype("float32") for cloud in clouds)
    drift = SinkhornDrift(
        0.7, num_steps=3, tolerance=tolerance, self_interaction="excluded"
    )
    weights = np.array([[1, 0, 1, 1, 2, 1, 1.0]] * 2)

    def total(samples):
        field = drift(samples, y, positive_weights=weights)
        return keras.ops.sum(keras.ops.square(field))

    found = contracts.gradient(total, x)
    assert np.all(np.isfinite(found))
    assert np.any(found != 0)


def test_agrees_with_python_optimal_transport(clouds):
    ot = pytest.importorskip("ot")
    x, y, z = (cloud[0] for cloud in clouds)

    def means(y):
        share = np.full(len(x), 1 / len(x)), np.full(len(y), 1 / len(y))
        cost = 0.5 * ot.dist(x, y)
        plan = ot.sinkhorn(*share, cost, EPSILON, stopThr=1e-12)
        return len(x) * plan @ y

    assert_close(velocity(x, y, z), means(y) - means(z))


def test_trains_and_is_annealed_and_saved(tmp_path):
    data = np.random.default_rng(0).normal(size=(96, 2)) * 0.5 + [3.0, -2.0]
    drift = SinkhornDrift([0.5, 1.0], num_steps=3, tolerance=1e-3)
    model = DriftModel(generators.MLP(2, hidden_dims=(16,)), drift, seed=0)
    model.compile(keras.optimizers.Adam(0.05))
    schedule = schedules.ExponentialAnnealing(1.0, 0.1, rate=0.1)
    history = model.fit(
        data.astype("float32"),
        batch_size=32,
        epochs=3,
        verbose=0,
        callbacks=[callbacks.BandwidthAnnealing(schedule)],
    ).history
    # Three steps an epoch; the last one saw step 8.
    assert history["bandwidth"][-1] == pytest.approx(np.exp(-0.8), rel=1e-4)
    assert history["drift_norm"][-1] < 0.6 * history["drift_norm"][0]
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        contracts.numpy(copy.drift.bandwidth),
        np.exp(-0.8) * np.array([0.5, 1.0]),
        rtol=1e-4,
    )


def test_negatives_must_be_given_by_default(clouds):
    with pytest.raises(ValueError, match="must be given"):
        SinkhornDrift()(*clouds[:2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"blur": 0.0},
            r"`blur` is a length and must be pos.*blur=0\.0",
        ),
        ({"blur": []}, r"at least one.*blur=\[\]"),
        ({"cost": "square"}, r"Did you mean 'squared'\?.*cost='square'"),
        ({"num_steps": -1}, "num_steps=-1"),
        ({"tolerance": 0.0}, r"tolerance=0\.0"),
        (
            {"num_steps": 0, "tolerance": 0.1},
            r"there must be some: num_steps >= 1.*tolerance=0\.1",
        ),
        ({"self_interaction": "none"}, "self_interaction='none'"),
    ],
)
def test_names_a_wrong_argument(options, message):
    with pytest.raises(ValueError, match=message):
        SinkhornDrift(**options)
