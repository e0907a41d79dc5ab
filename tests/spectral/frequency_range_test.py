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


def test_one_distant_outlier_is_no_coarse_structure():
    samples = np.random.default_rng(0).normal(size=(1000, 2))
    expected = frequency_range(samples, seed=0)
    for distance in (30.0, 3e4):
        outlier = np.array([[distance, 0.0]])
        found = frequency_range(np.concatenate([samples, outlier]), seed=0)
        # It is trimmed in place of the outermost of the others.
        np.testing.assert_allclose(found[0], expected[0], rtol=0.1)
        # Up to the width of a band, a quarter of an octave.
        assert abs(np.log2(found[1] / expected[1])) < 0.3
        assert found[2] == expected[2]


def test_the_extent_is_that_of_nearly_all_samples():
    # An independent account: the largest distance of pairs within the radius
    # that all but half a percent have.
    samples = np.random.default_rng(1).standard_t(3, size=(1000, 2))
    radii = np.linalg.norm(samples - np.median(samples, axis=0), axis=1)
    inner = samples[np.argsort(radii)[:995]]
    longest = max(np.linalg.norm(inner - one, axis=1).max() for one in inner)
    k_min, _, _ = frequency_range(samples, seed=0)
    np.testing.assert_allclose(k_min, np.pi / longest, rtol=1e-6)


def test_samples_that_coincide_but_for_one_have_a_range():
    samples = np.zeros((100, 1))
    samples[7] = 5.0
    k_min, k_max, _ = frequency_range(samples, seed=0)
    np.testing.assert_allclose([k_min, k_max], np.pi / 5)


def test_a_thin_column_is_fine_detail_until_it_is_standardized():
    # As `plan_annealing` says of its data.
    rng = np.random.default_rng(0)
    data = rng.normal(size=(2000, 2))
    thin = data * np.array([1.0, 1e-3])
    ends = [frequency_range(each, 0)[1] for each in (data, thin)]
    assert ends[1] > 3 * ends[0]
    standardized = thin / thin.std(axis=0) * data.std(axis=0)
    np.testing.assert_allclose(frequency_range(standardized, 0)[1], ends[0])
