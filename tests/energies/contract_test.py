"""What is true of every energy, whatever the formula."""

import pytest

import contracts
from keras_drift import energies
from keras_drift import kernels

MEMBERS = [
    (energies.FrechetDistance, {}),
    (energies.MMD, {"kernel": kernels.Gaussian(0.7)}),
    (energies.MMD, {"kernel": kernels.Laplacian([0.4, 2.0])}),
    (energies.MMD, {"kernel": "negative_distance"}),
    (energies.MMD, {"kernel": kernels.VonMisesFisher([0.4, 1.0])}),
    (energies.MMD, {"kernel": kernels.SphericalLogarithmic(0.3)}),
    (energies.SinkhornDivergence, {"blur": 1.4, "num_steps": 8}),
    (
        energies.SinkhornDivergence,
        {"blur": 1.0, "cost": "distance", "num_steps": 8},
    ),
    (energies.SlicedWasserstein, {"num_projections": 6}),
    (energies.SmoothedKL, {"bandwidth": 0.7, "num_nodes": 4}),
    *[
        (
            energies.SmoothedFDivergence,
            {"divergence": name, "bandwidth": 1.5, "num_nodes": 3},
        )
        for name in ("kl_pq", "jensen_shannon")
    ],
]


@pytest.mark.parametrize(("cls", "init_kwargs"), MEMBERS)
def test_contract(cls, init_kwargs):
    # Compiled once for each class.
    compiles = dict(reversed(MEMBERS))
    compiles = compiles[cls] is init_kwargs
    on_sphere = getattr(init_kwargs.get("kernel"), "spherical", False)
    contracts.check_energy(
        cls, init_kwargs, compiles=compiles, on_sphere=on_sphere
    )
