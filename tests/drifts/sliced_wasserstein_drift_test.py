import functools

import keras
import numpy as np
import pytest

import contracts
from keras_drift import DriftModel
from keras_drift import generators
from keras_drift import ops as kd_ops
from keras_drift.drifts import SlicedWassersteinDrift

assert_close = functools.partial(contracts.assert_close, tolerance=1e-5)


def velocity(*clouds, num_projections=6, **options):
    """By the fixed directions."""
    drift = SlicedWassersteinDrift(num_projections, resample=False, seed=3)
    function = contracts.in_one_program(drift)
    return contracts.numpy(function(*clouds, **options))


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(2, size, 3)) for size in (5, 7, 6)]


def destinations_by_hand(values, points, weights):
    """Fills the samples from the lowest up, a point after the other."""
    order = np.argsort(points)
    points, mass = points[order], (weights / weights.sum())[order]
    found = np.zeros(len(values))
    for i in np.argsort(values):
        wanted = 1 / len(values)
        while wanted > 1e-12:
            point = np.argmax(mass > 1e-12)
            moved = min(wanted, mass[point])
            found[i] += moved * points[point] * len(values)
            mass[point] -= moved
            wanted -= moved
    return found


def velocity_by_hand(x, y, z=None, a=None, b=None):
    """The definition in float64, a group and a direction at a time."""
    a = np.ones(y.shape[:2]) if a is None else a
    dim = x.shape[-1]
    lines = kd_ops.slice_directions(6, dim, 3).astype("float64")
    found = np.zeros_like(x)
    for g in range(len(x)):
        for line in lines:
            place = x[g] @ line
            steps = destinations_by_hand(place, y[g] @ line, a[g])
            if z is None:
                steps -= place
            else:
                ones = np.ones(len(z[g])) if b is None else b[g]
                steps -= destinations_by_hand(place, z[g] @ line, ones)
            found[g] += dim / len(lines) * np.outer(steps, line)
    return found


WEIGHTS = np.array([[1, 2, 0.5, 0, 1, 3, 1], [0.2, 1, 1, 1, 0, 0, 4.0]])


@pytest.mark.parametrize("self_interaction", ["included", "independent"])
def test_contract(self_interaction):
    contracts.check_drift(
        SlicedWassersteinDrift,
        init_kwargs={
            "num_projections": 6,
            "resample": False,
            "self_interaction": self_interaction,
        },
        x=(2, 5, 3),
        positives=(2, 7, 3),
        negatives=(2, 6, 3),
        groups_independent=True,
    )


@pytest.mark.parametrize("m", [1, 3, 5, 7, 10])
def test_matches_the_definition(clouds, m):
    x = clouds[0]
    y = np.random.default_rng(1).normal(size=(2, m, 3)) + 1
    assert_close(velocity(x, y), velocity_by_hand(x, y))


def test_matches_the_definition_with_negatives_and_weights(clouds):
    x, y, z = clouds
    assert_close(velocity(x, y, z), velocity_by_hand(x, y, z))
    assert_close(
        velocity(x, y, positive_weights=WEIGHTS),
        velocity_by_hand(x, y, a=WEIGHTS),
    )
    assert_close(
        velocity(x, z, y, negative_weights=WEIGHTS),
        velocity_by_hand(x, z, y, b=WEIGHTS),
    )
    # Unconditional points share a transport with the samples.
    both = np.concatenate([x, y], axis=1)
    mass = np.concatenate([np.ones((2, 5)), WEIGHTS], axis=1)
    assert_close(
        velocity(x, z, unconditional=y, unconditional_weights=WEIGHTS),
        velocity_by_hand(x, z, both, b=mass),
    )


def test_is_the_flow_of_the_squared_sliced_distance(clouds):
    """Papers, 6: by finite differences, float64."""
    x, y, _ = (cloud[0] for cloud in clouds)
    lines = kd_ops.slice_directions(6, 3, 3).astype("float64")

    def half_squared_distance(x):
        # Samples repeated until there are as many of both.
        u = np.sort(np.repeat(x @ lines.T, 7, axis=0), axis=0)
        v = np.sort(np.repeat(y @ lines.T, 5, axis=0), axis=0)
        return np.mean((u - v) ** 2) / 2

    expected = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        ends = []
        for step in (-1e-5, 1e-5):
            moved = x.copy()
            moved[index] += step
            ends.append(half_squared_distance(moved))
        expected[index] = -len(x) * (ends[1] - ends[0]) / 2e-5
    assert_close(velocity(x, y), 3 * expected)


@pytest.mark.parametrize(("dim", "num_projections"), [(1, 5), (3, 6), (8, 8)])
def test_a_translation_takes_one_step(dim, num_projections):
    rng = np.random.default_rng(0)
    x, shift = rng.normal(size=(2, 9, dim)), rng.normal(size=dim)
    for drift in (
        SlicedWassersteinDrift(num_projections),
        SlicedWassersteinDrift(num_projections, resample=False),
    ):
        found = contracts.numpy(drift(x, x[:, ::-1] + shift))
        assert_close(found, np.broadcast_to(shift, x.shape))


def test_a_line_is_transported_in_one_step():
    x = np.array([[3.0], [1.0], [2.0]])
    data = np.array([[9.0], [7.0], [8.0], [9.0], [7.0], [8.0]])
    np.testing.assert_allclose(velocity(x, data), 6, rtol=1e-6)


def test_rests_where_the_positives_are_the_negatives(clouds):
    x, y, _ = clouds
    np.testing.assert_array_equal(velocity(x, y, y), 0)
    np.testing.assert_allclose(velocity(x, x[:, ::-1]), 0, atol=1e-6)


def test_turns_round_when_the_roles_are_swapped(clouds):
    x, y, z = clouds
    assert_close(velocity(x, y, z), -velocity(x, z, y))


def test_scales_with_lengths(clouds):
    x, y, z = clouds
    assert_close(velocity(10 * x, 10 * y, 10 * z), 10 * velocity(x, y, z))


def test_moves_with_rigid_motions(clouds):
    """Of the mean over all directions, here many."""
    x, y, _ = clouds
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    many = {"num_projections": 6000}
    turned = velocity(x @ rotation + 2.0, y @ rotation + 2.0, **many)
    assert_close(turned, velocity(x, y, **many) @ rotation, tolerance=0.05)


@pytest.mark.parametrize("which", ["positives", "negatives", "unconditional"])
def test_an_integer_weight_counts_repetitions(clouds, which):
    x, y, z = clouds
    given = {"positives": y, "negatives": z, "unconditional": z[:, ::-1] + 0.5}
    option = which.removesuffix("s") + "_weights"
    ones = np.ones(given[which].shape[:2])
    counts = np.array([2, 1, 0, 3, 0, 0, 1])[: ones.shape[1]]
    repeated = {**given, which: np.repeat(given[which], counts, axis=1)}
    assert_close(
        velocity(x, **given, **{option: counts * ones}),
        velocity(x, **repeated, **{option: ones}),
    )


def test_points_without_weight_exert_no_force(clouds):
    x, y, z = clouds
    found = velocity(
        x,
        y,
        z,
        positive_weights=np.zeros((2, 7)),
        negative_weights=np.zeros((2, 6)),
    )
    np.testing.assert_array_equal(found, 0)
    far = np.full((2, 4, 3), 1e6)
    found = velocity(
        x, y, z, unconditional=far, unconditional_weights=np.zeros((2, 4))
    )
    assert_close(found, velocity(x, y, z))


def test_many_weighted_points_cost_few_digits():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1, 2000, 1)), rng.normal(size=(1, 2000, 1)) + 50
    assert_close(
        velocity(x, y, positive_weights=np.ones((1, 2000))),
        velocity(x, y),
        tolerance=1e-4,
    )


def test_draws_new_directions_in_every_call(clouds):
    x, y, _ = clouds
    drift = SlicedWassersteinDrift(3, seed=1)
    first, second = (contracts.numpy(drift(x, y)) for _ in range(2))
    assert np.abs(first - second).max() > 0.01
    # The seed says which.
    again = contracts.copy_of(drift)
    np.testing.assert_array_equal(contracts.numpy(again(x, y)), first)
    fixed = SlicedWassersteinDrift(3, resample=False, seed=1)
    first, second = (contracts.numpy(fixed(x, y)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("dim", "num_projections"), [(5, 12), (5, 3)])
def test_drawn_directions_are_orthogonal_blocks(dim, num_projections):
    drift = SlicedWassersteinDrift(num_projections)
    lines = contracts.numpy(drift._directions(dim))
    assert lines.shape == (num_projections, dim)
    for start in range(0, num_projections, dim):
        block = lines[start : start + dim]
        np.testing.assert_allclose(
            block @ block.T, np.eye(len(block)), atol=1e-5
        )


@pytest.mark.parametrize("self_interaction", ["included", "independent"])
def test_trains_and_is_saved(tmp_path, self_interaction):
    data = np.random.default_rng(0).normal(size=(96, 2)) * 0.5 + [3.0, -2.0]
    drift = SlicedWassersteinDrift(8, self_interaction=self_interaction)
    model = DriftModel(generators.MLP(2, hidden_dims=(16,)), drift, seed=0)
    model.compile(keras.optimizers.Adam(0.05))
    history = model.fit(
        data.astype("float32"), batch_size=32, epochs=3, verbose=0
    ).history
    assert history["drift_norm"][-1] < 0.6 * history["drift_norm"][0]
    state = contracts.numpy(model.drift.seed_generator.state)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        contracts.numpy(copy.drift.seed_generator.state), state
    )


def test_gradients_through_the_field_stay_finite(clouds):
    x, y, _ = (cloud.astype("float32") for cloud in clouds)
    drift = SlicedWassersteinDrift(6, resample=False)

    def total(samples):
        field = drift(samples, y, positive_weights=WEIGHTS)
        return keras.ops.sum(keras.ops.square(field))

    assert np.all(np.isfinite(contracts.gradient(total, x)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_projections": 0}, "num_projections=0"),
        ({"seed": -1}, "seed=-1"),
        ({"block_size": 7}, "block_size"),
        ({"relative": True}, "relative"),
        (
            {"self_interaction": "excluded"},
            "one of 'included', 'independent'.*self_interaction='excluded'",
        ),
    ],
)
def test_names_a_wrong_argument(options, message):
    with pytest.raises(ValueError, match=message):
        SlicedWassersteinDrift(**options)
