"""No tensor travels to the host in a step: accelerators would wait, or fail.

On a CPU, PyTorch lets NumPy arrays and tensors be mixed without a word. On a
GPU that raises, so reading a tensor from NumPy raises here too.
"""

import contextlib

import keras
import numpy as np
import pytest

from keras_drift import DriftModel
from keras_drift import PowerLawGuidance
from keras_drift import drifts
from keras_drift import energies
from keras_drift import generators
from keras_drift import kernels
from keras_drift import metrics
from keras_drift import schedules
from keras_drift.drifts import normalizations

if keras.backend.backend() != "torch":
    pytest.skip(
        "compiled steps cannot leave the device", allow_module_level=True
    )

import torch


@contextlib.contextmanager
def nothing_is_read():
    def refuse(*args, **kwargs):
        raise AssertionError("a tensor was read on the host")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("__array__", "numpy", "cpu", "item", "tolist"):
            patch.setattr(torch.Tensor, name, refuse)
        yield


DRIFTS = [
    drifts.KernelDrift("laplacian", name) for name in ("row", "dual", "score")
] + [
    drifts.KernelDrift(kernels.Matern([0.3, 0.6], nu=1.5), "sharp"),
    drifts.KernelDrift("gaussian", normalizations.OfficialDual()),
    drifts.KernelDrift("spherical_logarithmic", "score"),
    drifts.KernelDrift("von_mises_fisher"),
    drifts.KernelDrift("inverse_multiquadric"),
    drifts.SelfTuningDrift(num_neighbors=2, symmetric=True),
    drifts.MMDDrift(),
    drifts.EnergyDistanceDrift(),
    drifts.FDivergenceDrift({"kl_pq": 0.5, "chi2": 0.5}),
    drifts.SinkhornDrift(self_interaction="included", tolerance=1e-3),
    drifts.SlicedWassersteinDrift(num_projections=4),
    drifts.Sum(["mmd_drift", "kernel_drift"]),
    drifts.Lookahead("kernel_drift"),
    drifts.VariationalDrift(energies.MMD()),
    drifts.VariationalDrift(energies.SinkhornDivergence(num_steps=2)),
    drifts.VariationalDrift(energies.SmoothedKL()),
    drifts.VariationalDrift(energies.FrechetDistance()),
    drifts.VariationalDrift(energies.SlicedWasserstein(num_projections=4)),
]


@pytest.mark.parametrize("drift", DRIFTS, ids=lambda drift: drift.name)
def test_drifts_stay_on_the_device(drift):
    x, y = torch.randn(2, 5, 3), torch.randn(2, 7, 3)
    weights = torch.ones(2, 7)
    with nothing_is_read():
        if drift.bandwidth is not None:
            drift.anneal(torch.tensor(0.5))
        drift(x, y)
        drift(x, y, positive_weights=weights)


def test_a_training_step_stays_on_the_device():
    generator = generators.DiT(
        (4, 4, 1),
        num_classes=3,
        hidden_dim=8,
        depth=1,
        num_heads=1,
        num_style_tokens=2,
        num_context_tokens=2,
    )
    model = DriftModel(
        generator,
        drifts.Sum(["kernel_drift", "mmd_drift"]),
        step_size=schedules.LinearFriction(1.0, 0.5, 10),
        bandwidth_schedule=schedules.ExponentialAnnealing(1.0, 0.1, 0.1),
        guidance_sampler=PowerLawGuidance(),
        frozen_steps=2,
        seed=0,
    )
    model.compile("adam", metrics=[metrics.SlicedWasserstein()])
    rng = np.random.default_rng(0)
    positives, unconditional = (
        torch.tensor(rng.normal(size=(3, n, 4, 4, 1)).astype("float32"))
        for n in (6, 4)
    )
    batch = (
        {"positives": positives, "unconditional": unconditional},
        torch.arange(3, dtype=torch.int32),
    )
    model.train_step(batch)  # the optimizer makes its variables
    with nothing_is_read():
        model.train_step(batch)
        with torch.no_grad():
            model.test_step(batch)
