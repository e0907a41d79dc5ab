import numpy as np
import pytest

import contracts
from keras_drift import drifts
from keras_drift import kernels
from keras_drift.drifts import Lookahead


def base(**options):
    return drifts.KernelDrift(kernels.Gaussian([0.7, 2.0]), **options)


def velocity(drift, *clouds, **options):
    found = contracts.in_one_program(drift)(*clouds, **options)
    return contracts.numpy(found)


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(size, 2)) for size in (5, 7, 6)]


def test_no_step_ahead_is_the_drift_itself(clouds):
    np.testing.assert_allclose(
        velocity(Lookahead(base(), 0), *clouds), velocity(base(), *clouds)
    )


def test_is_so_many_euler_steps(clouds):
    x, y, _ = clouds
    drift = base()
    place, total = x, 0.0
    one_step = contracts.in_one_program(drift)
    for _ in range(3):
        step = contracts.numpy(one_step(place, y))
        place, total = place + 0.3 * step, total + step
    found = velocity(Lookahead(drift, 2, 0.3), x, y)
    np.testing.assert_allclose(found, total, rtol=1e-4, atol=1e-5)


def test_negatives_can_stay_where_they_were(clouds):
    x, y, _ = clouds
    first = velocity(base(), x, y)
    moved = x + 0.3 * first
    # Everyone but oneself, at the old places.
    others = np.stack([np.delete(x, i, axis=0) for i in range(len(x))])
    second = velocity(base(), moved[:, None], np.stack([y] * 5), others)[:, 0]
    found = velocity(Lookahead(base(), 1, 0.3, move_negatives=False), x, y)
    np.testing.assert_allclose(found, first + second, rtol=1e-4, atol=1e-5)
    other = velocity(Lookahead(base(), 1, 0.3), x, y)
    assert np.abs(found - other).max() > 1e-2


def test_given_negatives_stay(clouds):
    x, y, z = clouds
    drift = base(self_interaction="independent")
    first = velocity(drift, x, y, z)
    expected = first + velocity(drift, x + first, y, z)
    found = velocity(Lookahead(drift, move_negatives=True), x, y, z)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_unit_and_norm_are_those_of_the_first_field(clouds):
    drift = base(relative=True)
    first, found = (
        contracts.in_one_program(each.field)(*clouds[:2])
        for each in (drift, Lookahead(drift, 1))
    )
    for a, b in (
        (found.length_scale, first.length_scale),
        (found.norm, first.norm),
    ):
        np.testing.assert_allclose(
            contracts.numpy(a), contracts.numpy(b), rtol=1e-5
        )


@pytest.mark.parametrize(
    ("drift", "num_steps"),
    [
        (drifts.KernelDrift(), 0),
        (drifts.KernelDrift(self_interaction="independent"), 1),
        (drifts.VariationalDrift("mmd"), 1),
        (drifts.Sum([drifts.VariationalDrift("mmd")]), 1),
    ],
)
def test_refuses_to_fix_negatives_where_there_are_none(drift, num_steps):
    with pytest.raises(
        ValueError,
        match=rf"Received: move_negatives=False, num_steps={num_steps}, a "
        f"`{type(drift).__name__}`",
    ):
        Lookahead(drift, num_steps, move_negatives=False)


def test_gaussians_follow_the_known_recursion():
    # Papers, 10: p = N(0, 1), q = N(2, .4**2), bandwidth 0.6.
    from scipy import stats

    quantiles = stats.norm.ppf((np.arange(1000) + 0.5) / 1000)[:, None]
    start = 2 + 0.4 * quantiles
    moved = [
        start
        + velocity(
            Lookahead(
                drifts.KernelDrift(
                    kernels.Gaussian(0.6), self_interaction="included"
                ),
                steps,
            ),
            start,
            quantiles,
        )
        for steps in (0, 3)
    ]
    # The exact maps are linear, and so are Gaussians smoothed by a Gaussian.
    mean, std, expected = 2.0, 0.4, []
    for _ in range(4):
        pull, push = 0.36 / 1.36, 0.36 / (std**2 + 0.36)
        mean, std = mean * (1 - pull), std * (1 - pull + push)
        expected.append((mean, std))
    np.testing.assert_allclose(
        expected,
        [(1.47, 0.57), (1.08, 0.72), (0.80, 0.82), (0.59, 0.89)],
        atol=6e-3,
    )
    found = [(places.mean(), places.std()) for places in moved]
    np.testing.assert_allclose(found, expected[::3], atol=0.02)


def test_anneals_the_drift_inside():
    drift = Lookahead(base())
    np.testing.assert_allclose(drift.initial_bandwidth, [0.7, 2.0])
    drift.anneal(1.0)
    np.testing.assert_allclose(
        contracts.numpy(drift.bandwidth), [0.35, 1.0], rtol=1e-6
    )


def test_config_survives_json():
    drift = Lookahead(base(relative=True), 3, 0.2, move_negatives=False)
    copy = contracts.copy_of(drift)
    assert copy.get_config() == drift.get_config()
    assert (copy.num_steps, copy.step_size) == (3, 0.2)
    assert not copy.move_negatives
    assert copy.drift.relative


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"drift": "mdm_drift"}, ValueError, r"Did you mean 'mmd_drift'\?"),
        ({"num_steps": -1}, ValueError, r"`num_steps`.*=-1"),
        ({"num_steps": 1.5}, TypeError, r"`num_steps`.*=1.5"),
        ({"step_size": 0.0}, ValueError, r"`step_size`.*=0.0"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        Lookahead(**options)
