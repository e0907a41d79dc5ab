import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import drifts
from keras_drift import kernels
from keras_drift.drifts.signal import Signal

WIDTHS = (1.5, 0.5)


def gaussian_drift(**options):
    return drifts.KernelDrift(kernels.Gaussian(WIDTHS), **options)


def draw(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def measured(drift, *args, **kwargs):
    """Power and noise in one program, as float64."""
    signal = contracts.in_one_program(drift.signal)(*args, **kwargs)
    return [np.asarray(contracts.numpy(v), "float64") for v in signal]


def mean_near(x, points, weights, width):
    """Kernel-weighted means of points at each sample, in float64."""
    r = np.linalg.norm(x[:, None] - points[None], axis=-1)
    k = np.exp(-0.5 * (r / width) ** 2) * weights
    return k @ points / k.sum(1, keepdims=True)


def signal_by_hand(x, positives, negatives, weights=None, probes=None):
    """Over groups of samples, positives and negatives, see `Signal`."""
    found = []
    for width in WIDTHS:
        sums, differences = [], []
        for group, y, z in zip(x, positives, negatives, strict=True):
            group, y, z = (v.astype("float64") for v in (group, y, z))
            w = np.ones(len(y)) if weights is None else weights
            fields = [
                mean_near(group[:probes], y[i::2], w[i::2], width)
                - mean_near(group[:probes], z[i::2], 1.0, width)
                for i in (0, 1)
            ]
            sums.append(sum(fields) / 2)
            differences.append((fields[0] - fields[1]) / 2)
        found.append([np.mean(np.square(v)) for v in (sums, differences)])
    return np.transpose(found)


def test_is_that_of_two_halves_of_the_points():
    x, y = draw((2, 80, 3), (2, 10, 3))
    found = measured(gaussian_drift(), x, y)
    # Two of 80 samples are moved, and the others are the negatives.
    expected = signal_by_hand(x, y, x[:, 2:], probes=2)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_is_that_of_given_negatives_and_weights():
    x, y, z = draw((1, 5, 2), (1, 8, 2), (1, 6, 2))
    weights = np.array([[1, 2, 1, 0.5, 3, 1, 2, 1]], "float32")
    found = measured(gaussian_drift(), x, y, z, positive_weights=weights)
    expected = signal_by_hand(x, y, z, weights[0], probes=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_does_not_depend_on_the_axis_of_groups():
    x, y = draw((20, 2), (12, 2))
    alone = measured(gaussian_drift(), x, y)
    np.testing.assert_allclose(
        alone, measured(gaussian_drift(), x[None], y[None])
    )


def test_leaves_an_odd_point_out():
    x, y, z = draw((1, 5, 2), (1, 9, 2), (1, 7, 2))
    found = measured(gaussian_drift(), x, y, z)
    even = measured(gaussian_drift(), x, y[:, :8], z[:, :6])
    np.testing.assert_allclose(found, even, rtol=1e-5)


def test_noise_is_that_of_the_mean_of_two_halves():
    """In expectation: power minus noise is the square of the field."""
    groups, size = 400, 32
    x = np.zeros((groups, 1, 1), "float32")
    y, z = draw((groups, size, 1), (groups, size, 1))
    drift = drifts.KernelDrift(kernels.Gaussian(100.0))
    # So wide that the field is the difference of means: 1, with a noise of
    # variance 2 / size.
    power, noise = measured(drift, x, y + 1.0, z)
    np.testing.assert_allclose(noise, 2 / size, rtol=0.15)
    np.testing.assert_allclose(power - noise, 1.0, atol=0.05)
    power, noise = measured(drift, x, y, z)
    np.testing.assert_allclose(power - noise, 0.0, atol=0.02)


def test_share_of_signal_is_that_of_the_best_multiple():
    signal = Signal(*ops.convert_to_tensor([[4.0, 1.0, 0.0], [1.0, 2.0, 0.0]]))
    share = contracts.numpy(signal.share)
    np.testing.assert_allclose(share, [0.75, 0.0, 0.0])
    # The error vanishes at the share, before the positive part.
    error = contracts.numpy(signal.share_error(np.float32([0.75, -1.0, 0.3])))
    np.testing.assert_allclose(error, 0.0, atol=1e-6)
    below = contracts.numpy(signal.share_error(0.5))
    np.testing.assert_allclose(below, [1 / 5, -0.5, 0.0], atol=1e-6)


def test_is_that_of_each_feature_where_they_share_a_field():
    tokens = (1, 2)
    x, y = draw((6, 20, 2), (6, 8, 2))
    y[1::3] += 2.0
    signal = contracts.in_one_program(
        lambda x, y: gaussian_drift().signal(x, y, tokens=tokens)
    )(x, y)
    power, noise = map(contracts.numpy, signal)
    assert power.shape == noise.shape == (2, len(WIDTHS))
    groups = np.array([True, False, False] * 2)
    for row, chosen in enumerate((groups, ~groups)):
        alone = measured(gaussian_drift(), x[chosen], y[chosen])
        np.testing.assert_allclose([power[row], noise[row]], alone, rtol=1e-4)


def test_absent_points_do_not_count():
    x, y = draw((2, 20, 2), (2, 8, 2))
    padded = np.concatenate([y, np.full((2, 4, 2), np.nan, "float32")], axis=1)
    weights = np.array([[1.0] * 8 + [0.0] * 4] * 2, "float32")
    found = measured(gaussian_drift(), x, padded, positive_weights=weights)
    np.testing.assert_allclose(
        found, measured(gaussian_drift(), x, y), rtol=1e-4
    )
    # A group without positives has no share in the means.
    more = [np.concatenate([v, 3 * v[:1]]) for v in (x, padded)]
    weights = np.concatenate([weights, np.zeros((1, 12), "float32")])
    absent = measured(gaussian_drift(), *more, positive_weights=weights)
    np.testing.assert_allclose(absent, found, rtol=1e-4)


@pytest.mark.parametrize("mode", ["distribution", "velocity"])
def test_takes_guidance(mode):
    x, y, u = draw((2, 20, 2), (2, 8, 2), (2, 6, 2))
    drift = gaussian_drift(guidance_mode=mode)
    options = {
        "distribution": {"unconditional_weights": np.ones((2, 6), "float32")},
        "velocity": {"guidance_scale": np.float32([1.0, 2.0])},
    }[mode]
    found = measured(drift, x, y, unconditional=u, **options)
    plain = measured(drift, x, y)
    assert np.all(np.isfinite(found))
    assert np.all(np.abs(np.divide(found, plain) - 1) > 1e-3)


@pytest.mark.parametrize(
    "drift",
    [
        gaussian_drift(relative=True),
        gaussian_drift(normalization="sharp"),
        gaussian_drift(normalization="score", unit_rms=True),
        drifts.KernelDrift(kernels.VonMisesFisher(WIDTHS)),
        drifts.MMDDrift(kernels.Gaussian(WIDTHS)),
        drifts.FDivergenceDrift("chi2", kernels.Gaussian(WIDTHS)),
        drifts.EnergyDistanceDrift(),
    ],
    ids=lambda drift: type(drift).__name__,
)
def test_tells_signal_from_noise(drift):
    """The same far from the data and at them, whichever the drift."""
    x, y = draw((40, 64, 2), (40, 64, 2))
    shift = np.float32([2.0, 0.0])
    power, noise = measured(drift, x + shift, y)
    assert np.all(1 - noise / power > 0.6)
    x, y = x + shift, y + shift
    power, noise = measured(drift, x, y)
    assert np.all(np.abs(1 - noise / power) < 0.5)


def test_has_no_gradient():
    x, y = draw((16, 2), (8, 2))
    drift = gaussian_drift()
    slope = contracts.gradient(
        lambda x: ops.sum(x) + ops.sum(drift.signal(x, y).power), x
    )
    np.testing.assert_allclose(slope, 1.0, rtol=1e-6)


@pytest.mark.parametrize(
    "drift",
    [
        drifts.KernelDrift(normalization="dual"),
        drifts.SinkhornDrift(),
        drifts.SlicedWassersteinDrift(),
        drifts.Sum(["kernel_drift"]),
        drifts.Lookahead(),
    ],
    ids=lambda drift: type(drift).__name__,
)
def test_says_where_there_is_none(drift):
    x, y = draw((16, 2), (8, 2))
    with pytest.raises(ValueError, match=r"cannot be measured.*row"):
        drift.signal(x, y)


def test_says_what_is_too_small_to_be_halved():
    x, y = draw((2, 2), (8, 2))
    with pytest.raises(ValueError, match=r"x\.shape=.*few \['negatives'\]"):
        gaussian_drift().signal(x, y)
    with pytest.raises(ValueError, match=r"few \['positives'\]"):
        gaussian_drift().signal(np.zeros((3, 2)), y[:1])
    gaussian_drift().signal(np.zeros((3, 2)), y[:2])


def test_shares_multiply_the_fields():
    x, y = draw((16, 2), (8, 2))
    weights = [1.0, 0.5]
    plain = gaussian_drift(bandwidth_weights=weights)
    drift = gaussian_drift(bandwidth_weights=weights, signal_share=True)
    np.testing.assert_array_equal(drift(x, y), plain(x, y))
    drift.shares.assign([0.5, -0.2])
    halved = drifts.KernelDrift(
        kernels.Gaussian(WIDTHS[0]), bandwidth_weights=[0.5]
    )
    np.testing.assert_allclose(drift(x, y), halved(x, y), atol=1e-6)
    # Without weights the fields are averaged.
    drift = gaussian_drift(signal_share=True)
    np.testing.assert_allclose(drift(x, y), gaussian_drift()(x, y), atol=1e-6)


@pytest.mark.parametrize("share", [1.0, 0.0])
def test_shares_converge_to_the_measured_ones(share):
    drift = gaussian_drift(signal_share=True)
    signal = Signal(*ops.convert_to_tensor([[4.0, 5.0], [1.0, 4.0]]))
    drift.shares.assign([share, share])
    for _ in range(200):
        drift.update_shares(signal)
    shares = contracts.numpy(drift.shares)
    np.testing.assert_allclose(shares, [0.75, 0.2], atol=1e-3)


def test_shares_are_refused_where_nothing_measures_them():
    with pytest.raises(ValueError, match="normalization=Dual"):
        gaussian_drift(signal_share=True, normalization="dual")
    drift = gaussian_drift(signal_share=True)
    for combination in (drifts.Lookahead, lambda d: drifts.Sum([d])):
        with pytest.raises(ValueError, match="would stay at 1"):
            combination(drift)
    with pytest.raises(TypeError, match="signal_share"):
        gaussian_drift(signal_share="yes")


def test_config_keeps_the_option():
    copy = contracts.copy_of(gaussian_drift(signal_share=True))
    assert copy.needs_signal
    assert not contracts.copy_of(gaussian_drift()).needs_signal
