import math

import numpy as np
import pytest

from contracts import copy_of
from contracts import numpy
from keras_drift import datasets
from keras_drift import drifts
from keras_drift import energies
from keras_drift import kernels
from keras_drift.spectral import bandwidth_adaptation
from keras_drift.spectral.frequency_range import frequency_range
from keras_drift.training import FeatureDrifts

DATA = datasets.spirals(600, seed=0)


def gaussian(bandwidth=1.0, **options):
    return drifts.KernelDrift(kernels.Gaussian(bandwidth), **options)


DRIFTS = {
    "gaussian": gaussian,
    "auto": lambda: gaussian("auto"),
    "relative": lambda: gaussian(relative=True),
    "two bandwidths": lambda: gaussian([0.3, 3.0]),
    "laplacian": lambda: drifts.KernelDrift("laplacian"),
    "matern": lambda: drifts.MMDDrift(kernels.Matern("auto")),
    "sphere": lambda: drifts.KernelDrift("von_mises_fisher"),
    "dual": lambda: drifts.KernelDrift(
        kernels.Laplacian([0.02, 0.2]), normalization="dual"
    ),
    "f divergence": drifts.FDivergenceDrift,
    "sinkhorn": lambda: drifts.SinkhornDrift("auto"),
    "sinkhorn distance": lambda: drifts.SinkhornDrift("auto", cost="distance"),
    "sinkhorn relative": lambda: drifts.SinkhornDrift("auto", relative=True),
    "divergence": lambda: drifts.VariationalDrift(
        energies.SinkhornDivergence("auto")
    ),
    "smoothed kl": lambda: drifts.VariationalDrift(energies.SmoothedKL("auto")),
    "mmd": lambda: drifts.VariationalDrift(energies.MMD()),
    "lookahead": lambda: drifts.Lookahead(gaussian()),
    "sum": lambda: drifts.Sum([gaussian(), "energy_distance_drift"]),
}
# Bandwidths that are no length in the units of the data.
WITHOUT_UNIT = ("relative", "dual", "sphere", "sinkhorn relative")


def adapted(name, data=DATA, **options):
    drift = DRIFTS[name]()
    drift.adapt(data, verbose=False, **options)
    return drift


@pytest.fixture(params=sorted(DRIFTS))
def name(request):
    return request.param


def test_adapts_the_current_and_the_initial_bandwidth(name):
    drift = adapted(name)
    np.testing.assert_allclose(numpy(drift.bandwidth), drift.initial_bandwidth)
    assert np.all(drift.initial_bandwidth > 0)
    copy = copy_of(drift)
    np.testing.assert_array_equal(
        copy.initial_bandwidth, drift.initial_bandwidth
    )
    # A later schedule starts from it, with its ratios.
    drift.anneal(10.0)
    drift.anneal(float(np.max(drift.initial_bandwidth)))
    np.testing.assert_allclose(
        numpy(drift.bandwidth), drift.initial_bandwidth, rtol=1e-6
    )


def test_twice_is_once(name):
    drift = adapted(name)
    once = drift.initial_bandwidth
    drift.anneal(0.001)
    drift.adapt(DATA, verbose=False)
    np.testing.assert_allclose(drift.initial_bandwidth, once, rtol=1e-6)
    np.testing.assert_allclose(numpy(drift.bandwidth), once, rtol=1e-6)


def test_the_unit_of_the_data_is_that_of_absolute_bandwidths(name):
    widths = [adapted(name, c * DATA).initial_bandwidth for c in (1, 50)]
    expected = 1 if name in WITHOUT_UNIT else 50
    np.testing.assert_allclose(widths[1] / widths[0], expected, rtol=1e-3)


def test_the_origin_and_constant_coordinates_do_not_matter(name):
    if name == "sphere":
        pytest.skip("directions have an origin")
    padded = np.concatenate([DATA + 3, np.ones((600, 4))], axis=1)
    widths = [adapted(name, d).initial_bandwidth for d in (DATA, padded)]
    np.testing.assert_allclose(widths[1], widths[0], rtol=1e-3)


def test_a_rotation_and_another_subset_matter_little(name):
    angle = 0.7
    rotation = np.array(
        [
            [math.cos(angle), -math.sin(angle)],
            [math.sin(angle), math.cos(angle)],
        ]
    )
    widths = [
        adapted(name, d).initial_bandwidth for d in (DATA, DATA @ rotation)
    ]
    # The end of the spectrum is known up to a quarter of an octave.
    np.testing.assert_allclose(widths[1], widths[0], rtol=0.25)
    other = adapted(name, seed=7).initial_bandwidth
    np.testing.assert_allclose(other, widths[0], rtol=0.25)
    np.testing.assert_array_equal(
        adapted(name, seed=7).initial_bandwidth, other
    )


def test_a_gaussian_by_hand():
    k_min, k_max, _ = frequency_range(DATA.astype("float64"), 0)
    drift = adapted("gaussian")
    s = np.square(float(drift.bandwidth) * np.geomspace(k_min, k_max, 99))
    rates = s * np.exp(-s / 2)
    # The slowest modes are those of both ends, equally slow.
    assert rates[0] == pytest.approx(rates[-1], rel=0.1)
    assert min(rates[0], rates[-1]) == rates.min()


def test_relative_bandwidths_are_multiples_of_the_mean_distance():
    differences = DATA[:, None].astype("float64") - DATA
    distances = np.linalg.norm(differences, axis=-1)
    off_diagonal = ~np.eye(600, dtype=bool)
    mean = distances[off_diagonal].mean()
    root = np.sqrt(np.square(distances)[off_diagonal].mean())
    absolute = float(adapted("gaussian").bandwidth)
    for name, unit in (("relative", mean), ("sinkhorn relative", root)):
        found = float(adapted(name).bandwidth)
        assert found * unit == pytest.approx(absolute, rel=1e-4)


def test_blur_is_the_bandwidth_of_the_gibbs_kernel():
    for sinkhorn, kernel in (
        ("sinkhorn", "gaussian"),
        ("sinkhorn distance", "laplacian"),
        ("divergence", "gaussian"),
    ):
        found = adapted(sinkhorn).initial_bandwidth
        assert found == adapted(kernel).initial_bandwidth


def test_keeps_the_ratios_and_counts_the_weights():
    drift = adapted("two bandwidths")
    widths = numpy(drift.bandwidth)
    assert widths[1] / widths[0] == pytest.approx(10, rel=1e-6)
    # Where the narrow one counts for nothing the wide one is narrower.
    weighted = gaussian([0.3, 3.0], bandwidth_weights=[1e-6, 1.0])
    weighted.adapt(DATA, verbose=False)
    alone = adapted("gaussian")
    wide = float(numpy(weighted.bandwidth)[1])
    assert wide < 0.7 * widths[1]
    assert wide == pytest.approx(float(alone.bandwidth), rel=0.05)


def test_auto_is_two_bandwidths():
    widths = adapted("auto").initial_bandwidth
    drift = gaussian([4.0, 1.0])
    drift.adapt(DATA, verbose=False)
    np.testing.assert_allclose(widths, drift.initial_bandwidth, rtol=1e-6)


def test_finer_details_narrow_the_bandwidth():
    rng = np.random.default_rng(0)
    widths = []
    for size in (0.3, 0.03):
        data = rng.integers(0, 4, (800, 2)) + size * rng.normal(size=(800, 2))
        widths.append(float(adapted("gaussian", data).bandwidth))
    assert widths[1] < 0.5 * widths[0]


def test_every_drift_of_a_sum_gets_its_own():
    drift = drifts.Sum(
        [gaussian(5.0), drifts.KernelDrift("laplacian"), gaussian(1.0)]
    )
    drift.adapt(DATA, verbose=False)
    one, two, three = drift.initial_bandwidth
    assert one == three == adapted("gaussian").initial_bandwidth
    assert two == adapted("laplacian").initial_bandwidth


def test_classes_are_compared_within_themselves():
    # Two classes far apart, of different details.
    rng = np.random.default_rng(0)
    sizes = np.array([0.5, 2.0])
    labels = np.arange(800) % 2
    data = sizes[labels, None] * rng.normal(size=(800, 2))
    data[:, 0] += 100 * labels
    alone = [adapted("gaussian", data[labels == k]).bandwidth for k in (0, 1)]
    alone = [float(each) for each in alone]
    both = float(adapted("gaussian", data, labels=labels).bandwidth)
    assert both == pytest.approx(math.sqrt(alone[0] * alone[1]), rel=0.1)
    # The distance of the classes is no unit of length.
    within, across = (
        float(adapted("relative", data, labels=each).bandwidth)
        for each in (labels, None)
    )
    assert within > 10 * across


def test_few_of_many_classes_are_measured():
    rng = np.random.default_rng(0)
    labels = np.arange(3000) % 100
    chosen = bandwidth_adaptation.chosen_samples(3000, labels, seed=0)
    assert len(np.unique(labels[chosen])) == bandwidth_adaptation._MOST_GROUPS
    assert len(chosen) == 30 * bandwidth_adaptation._MOST_GROUPS
    assert len(bandwidth_adaptation.chosen_samples(9000, None, 0)) == 8192
    np.testing.assert_array_equal(
        bandwidth_adaptation.chosen_samples(50, None, 0), np.arange(50)
    )
    data = rng.normal(size=(3000, 2))
    adapted("gaussian", data, labels=labels)
    # A class of one sample has no distances.
    adapted("gaussian", data[:50], labels=[0] * 49 + [1])


def features():
    """A feature of one token, and one of two tokens far apart."""
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(500, 2, 3))
    tokens[:, 1] += 50.0
    return {"coarse": 4 * rng.normal(size=(500, 1, 2)), "fine": tokens}


def test_a_shared_drift_gets_the_geometric_mean():
    alone = []
    for name, values in features().items():
        drift = drifts.Sum([gaussian()])
        bandwidth_adaptation.adapt_features(
            lambda _, drift=drift: drift, {name: values}, verbose=False
        )
        alone.append(float(drift.initial_bandwidth[0]))
    # Tokens are compared with the same token of other samples.
    by_token = [
        float(adapted("gaussian", features()["fine"][:, k]).bandwidth)
        for k in (0, 1)
    ]
    # The mean is taken over their frequencies, which is nearly the same.
    assert alone[1] == pytest.approx(math.prod(by_token) ** 0.5, rel=0.02)
    drift = gaussian()
    bandwidth_adaptation.adapt_features(
        lambda _: drift, features(), verbose=False
    )
    assert float(drift.bandwidth) == pytest.approx(
        math.prod(alone) ** 0.5, rel=1e-5
    )


def test_drifts_by_feature_adapt_to_theirs():
    chosen = FeatureDrifts({"coarse": gaussian(), "*": gaussian()})
    chosen.adapt(features(), verbose=False)
    coarse, fine = chosen.initial_bandwidth
    expected = adapted("gaussian", features()["coarse"][:, 0])
    assert coarse == expected.initial_bandwidth
    assert fine < coarse
    # One without a bandwidth is left as it is.
    chosen = FeatureDrifts({"fine": gaussian(), "*": "energy_distance_drift"})
    chosen.adapt(features(), verbose=False)
    assert chosen.initial_bandwidth == pytest.approx(fine)
    with pytest.raises(TypeError, match=r"DriftModel.adapt.*type ndarray"):
        chosen.adapt(DATA)


def test_constant_tokens_are_left_out():
    values = np.zeros((600, 2, 2))
    values[:, 0] = DATA
    drift = gaussian()
    bandwidth_adaptation.adapt_features(
        lambda _: drift, {"a": values}, verbose=False
    )
    assert drift.initial_bandwidth == adapted("gaussian").initial_bandwidth


def test_says_what_it_chose_and_why(capsys):
    drift = drifts.Sum([gaussian(), drifts.SinkhornDrift("auto", **EXCLUDED)])
    drift.adapt(DATA)
    out = capsys.readouterr().out
    width = float(drift.bandwidth[0])
    assert f"Gaussian in Sum: bandwidth {width:.3g}, in the units of" in out
    assert f"SinkhornDrift in Sum: blur {width:.3g}, in the units of" in out
    assert "by their power spectrum" in out
    drift = gaussian(relative=True)
    bandwidth_adaptation.adapt_features(lambda _: drift, features())
    out = capsys.readouterr().out
    assert "in units of the mean distance" in out
    assert "'coarse', alone" in out
    assert "geometric mean of 2 features" in out
    assert max(map(len, out.splitlines())) <= 80
    drift.adapt(DATA, verbose=False)
    assert capsys.readouterr().out == ""


EXCLUDED = {"self_interaction": "excluded"}


class Own(drifts.VelocityDrift):
    """A drift that does not say which bandwidths it has."""


@pytest.mark.parametrize(
    "drift",
    [
        drifts.SlicedWassersteinDrift(),
        drifts.EnergyDistanceDrift(),
        drifts.VariationalDrift(energies.MMD("negative_distance")),
        drifts.Sum(["energy_distance_drift"]),
        drifts.Lookahead("energy_distance_drift"),
        Own(),
    ],
    ids=lambda drift: type(drift).__name__,
)
def test_without_a_bandwidth_there_is_nothing_to_adapt(drift):
    with pytest.raises(ValueError, match=f"drift={type(drift).__name__}"):
        drift.adapt(DATA)
    # It needs none either.
    drift.require_bandwidth()


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        (DATA[:, 0], {}, ValueError, r"data.shape=\(2,\)"),
        (DATA[:1], {}, ValueError, r"data.shape=\(1, 2\)"),
        (np.full((9, 2), np.nan), {}, ValueError, "finite"),
        (np.ones((9, 2)), {}, ValueError, "coincide"),
        (None, {}, TypeError, "data=NoneType"),
        (DATA, {"seed": -1}, ValueError, "seed=-1"),
        (DATA, {"labels": [0, 1]}, ValueError, r"labels.shape=\(2,\)"),
        (DATA[:3], {"labels": [0, 1, 2]}, ValueError, "at least two"),
        (DATA, {"verbose": "no"}, TypeError, "verbose='no'"),
        (
            datasets.ArrayDataset(DATA, batch_size=50),
            {},
            TypeError,
            "arrays that it was made from.*data=ArrayDataset",
        ),
    ],
)
def test_refuses_what_it_cannot_use(data, options, error, message):
    drift = gaussian(0.4)
    with pytest.raises(error, match=message):
        drift.adapt(data, **{"verbose": False, **options})
    # A failure changes nothing.
    assert drift.initial_bandwidth == np.float32(0.4)
