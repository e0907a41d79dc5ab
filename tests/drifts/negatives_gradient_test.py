"""Gradients of a field with respect to given negatives."""

import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import backend
from keras_drift import drifts
from keras_drift import kernels

WIDTHS = [0.9, 2.0]
OWN = {"self_interaction": "independent"}
DRIFTS = {
    **{
        name: lambda name=name: drifts.KernelDrift(
            kernels.Gaussian(WIDTHS), name, relative=True, unit_rms=True, **OWN
        )
        for name in ("row", "dual", "sharp", "score")
    },
    "blocks": lambda: drifts.KernelDrift(
        kernels.Laplacian(WIDTHS), block_size=(2, 3), **OWN
    ),
    "spherical": lambda: drifts.KernelDrift(kernels.VonMisesFisher(0.8), **OWN),
    "mmd": lambda: drifts.MMDDrift(kernels.Gaussian(WIDTHS), **OWN),
    "energy distance": lambda: drifts.EnergyDistanceDrift(**OWN),
    "f divergence": lambda: drifts.FDivergenceDrift(
        "chi2", kernels.Gaussian(WIDTHS), **OWN
    ),
    "sinkhorn": lambda: drifts.SinkhornDrift(WIDTHS, num_steps=3, **OWN),
    "sliced": lambda: drifts.SlicedWassersteinDrift(6, resample=False, **OWN),
    "sum": lambda: drifts.Sum([DRIFTS["mmd"](), DRIFTS["sinkhorn"]()]),
    "lookahead": lambda: drifts.Lookahead(DRIFTS["row"](), 1, 0.5),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_gradients_reach_the_negatives(name):
    """Against finite differences of the field itself."""
    rng = np.random.default_rng(0)
    x, y, z, step = (
        rng.normal(size=(2, n, 3)).astype("float32") for n in (4, 5, 6, 6)
    )
    drift = DRIFTS[name]()

    def total(negatives):
        return ops.sum(ops.square(drift(x, y, negatives)))

    slope = contracts.in_one_program(
        lambda z: backend.gradient(total, ops.convert_to_tensor(z))
    )
    found = np.sum(contracts.numpy(slope(z)) * step)
    total = contracts.in_one_program(total)
    ends = [float(total(z + size * step)) for size in (-4e-3, 4e-3)]
    expected = (ends[1] - ends[0]) / 8e-3
    assert abs(expected) > 1e-2
    assert found == pytest.approx(expected, rel=3e-2)
