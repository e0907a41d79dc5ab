"""The drift of an energy is the closed form of its flow, where there is one."""

import numpy as np
import pytest
from scipy import linalg

import contracts
from keras_drift import drifts
from keras_drift import energies
from keras_drift import kernels

# Not 1.0: a neutral value hides a multiplication written for a division.
WIDTH = 0.7
NODES = 9
rng = np.random.default_rng(0)
X, DATA = rng.normal(size=(2, 6, 2)), rng.normal(size=(2, 8, 2)) * 0.6 + 0.5
WEIGHTS = rng.uniform(0.5, 2.0, size=(2, 8))

DIVERGENCES = [
    *("kl_qp", "kl_pq", "chi2", "neyman", "hellinger", "jensen_shannon", 0.3),
    {"kl_pq": 0.25, "chi2": 0.75},
]
ENERGY_OF = {
    "kernel": energies.SmoothedKL(WIDTH, NODES),
    "mmd": energies.MMD(kernels.Gaussian(WIDTH)),
    "mmd of a matern": energies.MMD(kernels.Matern(WIDTH, nu=2.5)),
    "energy distance": energies.MMD("negative_distance"),
    "sinkhorn": energies.SinkhornDivergence(1.5**0.5, "squared", num_steps=40),
    "sliced wasserstein": energies.SlicedWasserstein(8, seed=3),
    **{
        f"f {name}": energies.SmoothedFDivergence(name, WIDTH, NODES)
        for name in DIVERGENCES
    },
}
# The closed forms, and what their unit of velocity is of that of the energy:
# the slope of an MMD times `bandwidth**2`, of a sliced distance times `d`.
CLOSED = {
    "kernel": (
        drifts.KernelDrift(
            kernels.Gaussian(WIDTH),
            drifts.normalizations.Row(outer_smoothing=NODES),
            self_interaction="included",
        ),
        1.0,
    ),
    "mmd": (
        drifts.MMDDrift(kernels.Gaussian(WIDTH), self_interaction="included"),
        WIDTH**2,
    ),
    "mmd of a matern": (
        drifts.MMDDrift(
            kernels.Matern(WIDTH, nu=2.5), self_interaction="included"
        ),
        WIDTH**2,
    ),
    "energy distance": (
        drifts.EnergyDistanceDrift(relative=False, self_interaction="included"),
        1.0,
    ),
    "sinkhorn": (
        drifts.SinkhornDrift(
            1.5**0.5, num_steps=40, self_interaction="included"
        ),
        1.0,
    ),
    "sliced wasserstein": (
        drifts.SlicedWassersteinDrift(8, resample=False, seed=3),
        2.0,
    ),
    **{
        f"f {name}": (
            drifts.FDivergenceDrift(
                name,
                kernels.Gaussian(WIDTH),
                clip=1e12,
                outer_smoothing=NODES,
                self_interaction="included",
            ),
            1.0,
        )
        for name in DIVERGENCES
    },
}


def velocity(drift):
    function = contracts.in_one_program(drift)
    return contracts.numpy(function(X, DATA, positive_weights=WEIGHTS))


@pytest.mark.parametrize("name", CLOSED)
def test_is_the_closed_form(name):
    drift, length_scale = CLOSED[name]
    found = length_scale * velocity(drifts.VariationalDrift(ENERGY_OF[name]))
    expected = velocity(drift)
    assert np.abs(expected).max() > 0.1
    tolerance = 1e-4 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_of_the_frechet_distance_is_the_map_between_gaussians():
    found = velocity(drifts.VariationalDrift(energies.FrechetDistance()))
    for x, data, weights, v in zip(X, DATA, WEIGHTS, found, strict=True):
        mean, target = x.mean(axis=0), np.average(data, axis=0, weights=weights)
        here = np.cov(x.T, ddof=0)
        there = np.cov(data.T, aweights=weights, ddof=0)
        # The positive solution of `map @ here @ map = there`.
        stretch = np.real(linalg.inv(here) @ linalg.sqrtm(here @ there))
        expected = target - x + (x - mean) @ stretch
        np.testing.assert_allclose(v, expected, rtol=0, atol=1e-4)
