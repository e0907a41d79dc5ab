import numpy as np

from keras_drift import datasets
from keras_drift.spectral import frequency_range as module
from keras_drift.spectral.frequency_range import frequency_range


def test_a_lattice_resolves_half_a_wave_between_neighbors():
    axis = np.arange(20.0)
    lattice = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    k_min, k_max, reason = frequency_range(0.5 * lattice, seed=0)
    np.testing.assert_allclose(k_min, np.pi / (9.5 * np.sqrt(2)))
    assert k_max <= np.pi / 0.5
    assert reason


def test_a_smooth_density_ends_where_its_power_is_that_of_noise():
    # A normal of width 2 has the power `exp(-4 k^2)`: 1 / n at k = 1.25.
    samples = 2 * np.random.default_rng(0).normal(size=(500, 1))
    _, k_max, reason = frequency_range(samples, seed=0)
    assert reason == "their power spectrum"
    assert 1.25 / 2**0.5 < k_max < 1.25 * 2**0.5


def test_finer_details_raise_the_end():
    rng = np.random.default_rng(0)
    ends = []
    for width in (0.3, 0.1, 0.03):
        centers = rng.integers(0, 4, size=(600, 2))
        samples = centers + width * rng.normal(size=(600, 2))
        ends.append(frequency_range(samples, seed=0)[1])
    assert ends[0] < ends[1] < ends[2]


def test_repeated_samples_are_no_finest_detail():
    lattice = np.repeat(np.arange(10.0)[:, None], 5, axis=0)
    _, k_max, _ = frequency_range(lattice, seed=0)
    assert k_max <= np.pi + 1e-9


def test_more_samples_resolve_finer_details():
    data = datasets.checkerboard(8192, seed=0).astype("float64")
    few = [frequency_range(data[i::4], seed=0)[1] for i in range(2)]
    assert frequency_range(data, seed=0)[1] > 1.2 * np.mean(few)


def test_many_samples_of_many_dimensions_are_a_subset(monkeypatch):
    sizes = []
    monkeypatch.setattr(
        module,
        "_end_of_spectrum",
        lambda samples, *args: sizes.append(samples.shape) or 1.0,
    )
    for shape in ((9000, 2), (4000, 300), (2100, 3000)):
        frequency_range(np.random.default_rng(0).normal(size=shape), 0)
    assert sizes == [(8192, 2), (3495, 300), (2048, 3000)]
