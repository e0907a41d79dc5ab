import numpy as np
import pytest

from keras_drift import datasets
from keras_drift import drifts
from keras_drift import kernels
from keras_drift import spectral


def rates(plan, k, dim=1):
    """The rates by the formula of the dispersion relation, in float64."""
    each = spectral.dispersion(plan.kernel, k, dim)
    return np.asarray(plan.weights) @ each


@pytest.mark.parametrize("kernel", ["gaussian", "laplacian", "matern"])
def test_rates_are_as_flat_as_it_says_and_at_most_one(kernel):
    plan = spectral.plan_bandwidths(
        k_min=0.5, k_max=15.0, kernel=kernel, dim=2, verbose=False
    )
    found = rates(plan, np.geomspace(0.5, 15.0, 1000), dim=2)
    assert found.max() == pytest.approx(1.0, abs=1e-3)
    assert found.max() / found.min() == pytest.approx(plan.flatness, rel=1e-3)
    assert plan.flatness <= 1.3
    assert len(plan.weights) == plan.kernel.num_bandwidths
    assert min(plan.weights) > 0


def test_closed_form_of_a_gaussian():
    plan = spectral.plan_bandwidths(k_min=1.0, k_max=30.0, verbose=False)
    k = np.geomspace(1.0, 30.0, 50)
    u = np.outer(np.ravel(plan.kernel.get_config()["bandwidth"]), k)
    expected = np.asarray(plan.weights) @ (u**2 * np.exp(-(u**2) / 2))
    np.testing.assert_allclose(rates(plan, k), expected, rtol=1e-6)


def test_uses_the_fewest_bandwidths():
    plan = spectral.plan_bandwidths(k_min=1.0, k_max=30.0, verbose=False)
    assert len(plan.weights) == 4
    flatter = spectral.plan_bandwidths(
        k_min=1.0, k_max=30.0, flatness=1.05, verbose=False
    )
    assert len(flatter.weights) > 4
    one = spectral.plan_bandwidths(k_min=2.0, k_max=2.0, verbose=False)
    # A Gaussian removes the frequency `sqrt(2) / bandwidth` fastest.
    bandwidth = one.kernel.get_config()["bandwidth"]
    np.testing.assert_allclose(bandwidth, [0.5**0.5], rtol=5e-3)


def test_does_not_depend_on_the_unit_of_length():
    plans = [
        spectral.plan_bandwidths(k_min=k, k_max=20 * k, verbose=False)
        for k in (1.0, 1000.0)
    ]
    assert plans[0].weights == pytest.approx(plans[1].weights, rel=1e-6)
    widths = [np.array(p.kernel.get_config()["bandwidth"]) for p in plans]
    np.testing.assert_allclose(widths[0], 1000 * widths[1], rtol=1e-6)


def test_a_drift_decays_at_the_planned_rates():
    plan = spectral.plan_bandwidths(k_min=1.0, k_max=30.0, verbose=False)
    drift = drifts.KernelDrift(plan.kernel, bandwidth_weights=plan.weights)
    k = np.geomspace(1.0, 30.0, 7)
    measured = spectral.measure_decay(drift, k, dim=1)
    np.testing.assert_allclose(measured, rates(plan, k), rtol=0.05)
    assert measured.max() / measured.min() <= 1.3


def test_range_of_the_data():
    data = datasets.checkerboard(500, seed=0)
    annealing = spectral.plan_annealing(data, verbose=False)
    plan = spectral.plan_bandwidths(data, flatness=2.0, verbose=False)
    assert (plan.k_min, plan.k_max) == (annealing.k_min, annealing.k_max)


def test_prints_the_plan(capsys):
    plan = spectral.plan_bandwidths(k_min=1.0, k_max=3.0)
    assert capsys.readouterr().out == f"{plan}\n"
    assert "as given" in str(plan)
    assert max(map(len, str(plan).splitlines())) <= 80


def test_refuses_what_it_cannot_plan():
    with pytest.raises(ValueError, match=r"above 1\. Received: flatness=1"):
        spectral.plan_bandwidths(k_min=1.0, k_max=3.0, flatness=1.0)
    with pytest.raises(ValueError, match="data=None"):
        spectral.plan_bandwidths(k_min=1.0)
    with pytest.raises(ValueError, match="spherical"):
        spectral.plan_bandwidths(
            k_min=1.0, k_max=3.0, kernel=kernels.VonMisesFisher(0.5)
        )


def test_plot_shows_the_weighted_sum():
    pytest.importorskip("matplotlib").use("Agg")
    kernel = kernels.Gaussian([1.0, 0.5])
    axes = spectral.plot_dispersion(kernel, [1.0, 2.0], weights=[0.5, 2.0])
    each = spectral.dispersion(kernel, [1.0, 2.0], 1)
    total = axes.lines[-1].get_ydata()
    np.testing.assert_allclose(total, 0.5 * each[0] + 2.0 * each[1])
    with pytest.raises(ValueError, match="3 weights, 2 bandwidths"):
        spectral.plot_dispersion(kernel, [1.0], weights=[1.0, 1.0, 1.0])


def test_a_gaussian_takes_any_dimension():
    options = {"k_min": 1.0, "k_max": 9.0, "verbose": False}
    plane, images = (
        spectral.plan_bandwidths(dim=dim, **options) for dim in (2, 3072)
    )
    assert images.weights == plane.weights
