import math

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from keras_drift import datasets
from keras_drift import kernels
from keras_drift import spectral
from keras_drift.schedules import ExponentialAnnealing


def collected(plan, kernel, frequencies, dim, step_size):
    """The damping of all steps of a plan, one after the other."""
    kernel = kernels.get(kernel)
    total = np.zeros(len(frequencies))
    for step in range(plan.num_steps):
        width = plan.schedule.initial * math.exp(-plan.schedule.rate * step)
        width = max(width, plan.schedule.final)
        kernel.bandwidth.assign(width)
        rates = spectral.dispersion(kernel, frequencies, dim)
        total += step_size * rates
    return total


@pytest.mark.parametrize("kernel", ["gaussian", "laplacian", "matern"])
@pytest.mark.parametrize(
    ("k_max", "tolerance", "step_size", "dim"),
    [(3.0, 0.5, 0.1, 1), (40.0, 0.01, 1.0, 2), (1e4, 1e-4, 0.5, 1)],
)
def test_every_mode_is_damped_and_none_in_vain(
    kernel, k_max, tolerance, step_size, dim
):
    plan = spectral.plan_annealing(
        k_min=2.0,
        k_max=k_max,
        tolerance=tolerance,
        step_size=step_size,
        kernel=kernel,
        dim=dim,
        verbose=False,
    )
    modes = np.geomspace(2.0, k_max, 30)
    damping = collected(plan, kernel, modes, dim, step_size)
    needed = math.log(1 / tolerance)
    assert damping.min() >= needed
    assert damping.max() < 1.6 * needed


def test_agrees_with_the_closed_form_and_with_convergence_time():
    plan = spectral.plan_annealing(
        k_min=1.0, k_max=20.0, step_size=0.1, verbose=False
    )
    schedule = plan.schedule
    assert isinstance(schedule, ExponentialAnnealing)
    modes = np.geomspace(1.0, 20.0, 20)

    def caught(k):
        start, end = schedule.initial * k, schedule.final * k
        return np.exp(-(end**2) / 2) - np.exp(-(start**2) / 2)

    damping = 0.1 / schedule.rate * caught(modes)
    np.testing.assert_allclose(damping.min(), math.log(100), rtol=1e-4)
    times = spectral.convergence_time(
        "gaussian", modes, 1, schedule=schedule, step_size=0.1
    )
    assert 0.9 * plan.num_steps < times.max() <= plan.num_steps


def test_no_other_start_and_end_needs_clearly_fewer_steps():
    plan = spectral.plan_annealing(
        k_min=1.0, k_max=100.0, step_size=0.01, verbose=False
    )
    start, end = np.meshgrid(
        np.linspace(1.0, 4.0, 150), np.linspace(0.05, 1.5, 150)
    )
    steps = np.log(start / end * 100.0) / np.minimum(
        np.exp(-((end / 100) ** 2) / 2) - np.exp(-(start**2) / 2),
        np.exp(-(end**2) / 2) - np.exp(-((start * 100) ** 2) / 2),
    )
    fewest = math.log(100) / 0.01 * steps.min()
    assert fewest < plan.num_steps < 1.01 * fewest


def test_time_grows_with_the_logarithm_of_the_finest_detail():
    steps = [
        spectral.plan_annealing(
            k_min=1.0, k_max=k_max, step_size=0.01, verbose=False
        ).num_steps
        for k_max in (1e2, 1e4, 1e6)
    ]
    growth = np.diff(steps)
    np.testing.assert_allclose(growth[1], growth[0], rtol=0.05)


def test_says_what_it_chose(capsys):
    plan = spectral.plan_annealing(k_min=1.0, k_max=8.0)
    assert capsys.readouterr().out == f"{plan}\n"
    assert str(plan) == plan.explanation
    assert f"Steps: {plan.num_steps}." in plan.explanation
    spectral.plan_annealing(k_min=1.0, k_max=8.0, verbose=False)
    assert capsys.readouterr().out == ""


def test_data_give_the_range_that_is_not_given():
    data = datasets.checkerboard(500, seed=0)
    plan = spectral.plan_annealing(data, verbose=False)
    assert plan.k_min < plan.k_max
    half = spectral.plan_annealing(data, k_max=50.0, verbose=False)
    assert (half.k_min, half.k_max) == (plan.k_min, 50.0)
    # A change of the unit of length is one of the plan.
    tenfold = spectral.plan_annealing(10 * np.asarray(data), verbose=False)
    np.testing.assert_allclose(
        [tenfold.schedule.initial, tenfold.schedule.final],
        [10 * plan.schedule.initial, 10 * plan.schedule.final],
        rtol=1e-6,
    )
    assert tenfold.num_steps == plan.num_steps


def test_a_gaussian_takes_any_dimension():
    data = np.random.default_rng(0).normal(size=(50, 3, 40, 40))
    plan = spectral.plan_annealing(data, verbose=False)
    assert plan.num_steps > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "data=None"),
        ({"k_min": 1.0}, "data=None"),
        ({"k_min": 2.0, "k_max": 1.0}, "must not be below"),
        ({"k_min": 0.0, "k_max": 1.0}, "`k_min` is an angular frequency"),
        ({"data": np.zeros((5, 2))}, "coincide"),
        ({"data": np.zeros(5)}, r"data\[:, None\]"),
        ({"k_min": 1.0, "k_max": 2.0, "tolerance": 1.0}, "below 1"),
    ],
)
def test_refuses_what_it_cannot_use(arguments, message):
    with pytest.raises(ValueError, match=message):
        spectral.plan_annealing(**arguments)


def test_relative_bandwidths_are_in_units_of_the_mean_distance():
    data = 5 * np.random.default_rng(0).normal(size=(200, 3))
    options = {"k_min": 0.2, "k_max": 2.0, "verbose": False}
    absolute = spectral.plan_annealing(data, **options)
    relative = spectral.plan_annealing(data, **options, relative=True)
    unit = pdist(data).mean()
    for step in (0, 5, 1000):
        ratio = float(absolute.schedule(step)) / float(relative.schedule(step))
        assert ratio == pytest.approx(unit, rel=1e-5)
    assert relative.num_steps == absolute.num_steps
    assert "units of the data, for a drift with relative=False" in str(absolute)
    assert f"mean distance of two samples, {unit:.3g}" in str(relative)


def test_relative_bandwidths_need_data():
    with pytest.raises(ValueError, match=r"Pass `data`.*data=None"):
        spectral.plan_annealing(k_min=1.0, k_max=2.0, relative=True)
    with pytest.raises(ValueError, match=r"coincide.*4 equal samples"):
        spectral.plan_annealing(
            np.ones((4, 2)), k_min=1.0, k_max=2.0, relative=True
        )
