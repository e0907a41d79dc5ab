import numpy as np
import pytest

import contracts
from keras_drift import drifts
from keras_drift import kernels
from keras_drift import spectral

WIDTH = 0.7
XI = np.array([0.5, 1.5, 4.0])

KERNELS = {
    "gaussian": kernels.Gaussian(WIDTH),
    "laplacian": kernels.Laplacian(WIDTH),
    "matern": kernels.Matern(WIDTH, nu=1.5),
    "two_bandwidths": kernels.Gaussian([WIDTH / 2, WIDTH]),
}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dim", [1, 2])
def test_theory_and_drift_agree(name, dim):
    kernel = KERNELS[name]
    predicted = spectral.dispersion(kernel, XI, dim).reshape(-1, len(XI))
    measured = spectral.measure_decay(drifts.KernelDrift(kernel), XI, dim)
    np.testing.assert_allclose(measured, predicted.mean(axis=0), rtol=0.01)


def test_particles_decay_at_that_rate_step_by_step():
    # A whole training in NumPy: particles on a circle, displaced by a wave,
    # that follow the drift. Independent of grid weights and of the formula.
    kernel, period, num_particles, step_size = (
        kernels.Matern(0.3, nu=1.5),
        6,
        96,
        0.2,
    )
    home = period * np.arange(num_particles) / num_particles
    xi = 2 * np.pi / period * 2
    wave = np.sin(xi * home)
    images = period * np.arange(-2, 3)
    drift = contracts.in_one_program(drifts.KernelDrift(kernel))

    def on_the_line(circle):
        return (circle + images[:, None]).reshape(-1, 1)

    place, sizes = home + 0.02 * wave, []
    for _ in range(6):
        sizes.append(2 * np.mean((place - home) * wave))
        velocity = drift(place[:, None], on_the_line(home), on_the_line(place))
        place = place + step_size * contracts.numpy(velocity)[:, 0]
    slope = np.polyfit(np.arange(6), np.log(sizes), 1)[0]
    rate = -np.expm1(slope) / step_size
    predicted = spectral.dispersion(kernel, xi, 1)
    measured = spectral.measure_decay(drifts.KernelDrift(kernel), xi, 1)
    np.testing.assert_allclose(rate, predicted, rtol=0.03)
    np.testing.assert_allclose(measured, predicted, rtol=0.01)


@pytest.mark.parametrize("dim", [1, 2])
def test_the_sharp_field_has_rates_of_its_own(dim):
    kernel = kernels.Laplacian(WIDTH)
    drift = drifts.KernelDrift(kernel, "sharp")
    measured = spectral.measure_decay(drift, XI, dim)
    predicted = spectral.dispersion(kernel, XI, dim, "sharp")
    np.testing.assert_allclose(measured, predicted, rtol=0.01)
    mean_shift = spectral.dispersion(kernel, XI, dim)
    assert np.abs(predicted / mean_shift - 1).max() > 0.2


def test_refuses_what_it_cannot_use():
    drift = drifts.KernelDrift(kernels.Gaussian(1.0))
    with pytest.raises(
        ValueError, match=r"Received: KernelDrift.*normalization=Dual\("
    ):
        spectral.measure_decay(drifts.KernelDrift(normalization="dual"), XI, 1)
    with pytest.raises(ValueError, match="above zero"):
        spectral.measure_decay(drift, [0.0], 1)
    with pytest.raises(ValueError, match=r"a line or a plane.*dim=3"):
        spectral.measure_decay(drift, XI, 3)
    with pytest.raises(ValueError, match="too many points"):
        spectral.measure_decay(drift, [1e4], 2)
    with pytest.raises(ValueError, match=r"amplitude=2\.0"):
        spectral.measure_decay(drift, XI, 1, amplitude=2.0)
