"""A point of weight zero is absent, whatever its coordinates."""

import functools

import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import backend
from keras_drift import drifts
from keras_drift import energies
from keras_drift import kernels
from keras_drift.drifts import normalizations

WIDTHS = [0.6, 2.0]


def kernel_drift(normalization, **options):
    return drifts.KernelDrift(
        kernels.Laplacian(WIDTHS), normalization, **options
    )


class ToTheWeightedMean(drifts.VelocityDrift):
    """A drift of a user, who multiplies by weights and thinks no more of it."""

    def velocities(self, x, positives, negatives, length_scale):
        weights = positives.dense_weights()[..., None]
        total = ops.sum(weights * positives.points, axis=1, keepdims=True)
        return [total / (ops.sum(weights, axis=1, keepdims=True) + 1e-6) - x]


# What depends on the batch as a whole, wherever there is a choice.
BATCH = {"relative": True, "unit_rms": True}
DRIFTS = {
    "row": lambda: kernel_drift("row", **BATCH),
    "dual": lambda: kernel_drift("dual"),
    "dual, blocks": lambda: kernel_drift("dual", block_size=(2, 3)),
    "dual, corrected": lambda: kernel_drift(normalizations.Dual(True)),
    "sharp": lambda: kernel_drift("sharp", **BATCH),
    "score": lambda: kernel_drift("score", **BATCH),
    "official": lambda: kernel_drift("official_dual"),
    "spherical": lambda: drifts.KernelDrift(
        kernels.VonMisesFisher(0.8), **BATCH
    ),
    "smoothed": lambda: drifts.KernelDrift(
        kernels.Gaussian(WIDTHS),
        normalizations.Row(outer_smoothing=2),
        self_interaction="included",
    ),
    "self-tuning": lambda: drifts.SelfTuningDrift(
        kernels.Gaussian(WIDTHS), 3, symmetric=True, **BATCH
    ),
    "self-tuning, dual": lambda: drifts.SelfTuningDrift(
        kernels.Gaussian(WIDTHS), 3, normalization="dual"
    ),
    "mmd": lambda: drifts.MMDDrift(kernels.Gaussian(WIDTHS), **BATCH),
    "energy distance": lambda: drifts.EnergyDistanceDrift(unit_rms=True),
    "f divergence": lambda: drifts.FDivergenceDrift(
        "chi2", kernels.Gaussian(WIDTHS), **BATCH
    ),
    "sinkhorn": lambda: drifts.SinkhornDrift(
        WIDTHS, num_steps=3, self_interaction="excluded", **BATCH
    ),
    "sinkhorn, distance": lambda: drifts.SinkhornDrift(
        WIDTHS,
        "distance",
        num_steps=3,
        self_interaction="included",
        **BATCH,
    ),
    "sliced": lambda: drifts.SlicedWassersteinDrift(
        6, resample=False, unit_rms=True
    ),
    "variational": lambda: drifts.VariationalDrift(
        energies.MMD(kernels.Gaussian(WIDTHS)), unit_rms=True
    ),
    "of a user": lambda: ToTheWeightedMean(unit_rms=True),
    "sum": lambda: drifts.Sum(["mmd_drift", DRIFTS["row"]()]),
    "lookahead": lambda: drifts.Lookahead(DRIFTS["row"](), 1, 0.3),
    "lookahead, fixed": lambda: drifts.Lookahead(
        DRIFTS["row"](), 1, 0.3, move_negatives=False
    ),
}
# Not transports, which give equal masses to the samples, so that an absent one
# still has its share.
REMOVABLE = (
    "row",
    "dual",
    "dual, corrected",
    "spherical",
    "self-tuning",
    "self-tuning, dual",
    "mmd",
)

each_drift = pytest.mark.parametrize("name", DRIFTS)
PADDING = (7.0, 1e12, np.inf, np.nan)


@functools.cache
def field_of(name):
    """The field of a drift; all tests share its program."""
    program = contracts.in_one_program(DRIFTS[name]().field)
    return lambda *args, **kw: [
        contracts.numpy(v) for v in program(*args, **kw)
    ]


def assert_agree(found, expected, name):
    for one, other in zip(found, expected, strict=True):
        contracts.assert_close(one, other, tolerance=2e-5)
        assert np.all(np.isfinite(one)), name


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(2, n, 3)) + 0.5 for n in (5, 7, 6, 4)]


def weights_of(size):
    weights = np.random.default_rng(size).uniform(0.5, 2.0, size=(2, size))
    weights[0, 1] = weights[1, -1] = weights[1, 0] = 0
    return weights


def points_for(name, clouds, weights_of):
    """All point sets that a drift takes, and their weights."""
    _, y, z, u = clouds
    given = {"positives": y}
    if DRIFTS[name]().takes_negatives:
        given |= {"negatives": z, "unconditional": u}
    weights = {
        key.removesuffix("s") + "_weights": weights_of(points.shape[1])
        for key, points in given.items()
    }
    return given, weights


@each_drift
def test_what_absent_points_hold_does_not_matter(clouds, name):
    x = clouds[0]
    given, weights = points_for(name, clouds, weights_of)
    field = field_of(name)
    # In the release a finite point of weight zero takes part in the softmaxes.
    paddings = PADDING[1:] if name == "official" else PADDING
    found = []
    for value in paddings:
        padded = {
            key: np.where(
                weights[key.removesuffix("s") + "_weights"][..., None] > 0,
                points,
                value,
            )
            for key, points in given.items()
        }
        found.append(field(x, **padded, **weights))
    for each in found[1:]:
        assert_agree(each, found[0], name)
    assert np.any(found[0][0] != 0)


@pytest.mark.parametrize(
    "name", [n for n in DRIFTS if n not in ("official", "variational")]
)
def test_absent_samples_rest_and_change_nothing(clouds, name):
    x, y, *_ = clouds
    weights = weights_of(5)
    field = field_of(name)
    options = {
        "negative_weights": weights,
        "positive_weights": np.ones((2, 7)),
    }
    absent = weights[..., None] == 0
    expected = field(x, y, **options)
    np.testing.assert_array_equal(expected[0][absent[..., 0]], 0)
    for value in PADDING:
        found = field(np.where(absent, value, x), y, **options)
        assert_agree(found, expected, name)


@pytest.mark.parametrize("name", REMOVABLE)
def test_absent_samples_are_as_if_removed(clouds, name):
    x, y, *_ = clouds
    kept = [0, 2, 3]
    weights = np.zeros((2, 5))
    weights[:, kept] = [1.0, 2.0, 0.5]
    field = field_of(name)
    data = {"positive_weights": np.ones((2, 7))}
    found = field(x, y, negative_weights=weights, **data)
    expected = field(x[:, kept], y, negative_weights=weights[:, kept], **data)
    found[0] = found[0][:, kept]
    assert_agree(found, expected, name)


@each_drift
def test_a_group_without_data_rests_and_changes_nothing(clouds, name):
    x = clouds[0]
    given, weights = points_for(name, clouds, lambda n: np.ones((2, n)))
    weights["positive_weights"][1] = 0
    field = field_of(name)
    found = field(x, **given, **weights)
    np.testing.assert_array_equal(found[0][1], 0)
    assert np.any(found[0][0] != 0)
    if name == "official":
        return  # the release averages over all groups
    # Other samples, other padding.
    x, given["positives"] = x.copy(), given["positives"].copy()
    x[1], given["positives"][1] = 3 * x[1], np.nan
    again = field(x, **given, **weights)
    assert_agree(again, found, name)


@pytest.mark.parametrize("name", ["row", "dual", "energy distance"])
def test_a_group_without_data_is_as_if_removed(clouds, name):
    x, y, *_ = clouds
    weights = np.ones((2, 7))
    weights[1] = 0
    field = field_of(name)
    found = field(x, y, positive_weights=weights)
    np.testing.assert_array_equal(found[0][1], 0)
    found[0] = found[0][:1]
    alone = field(x[:1], y[:1], positive_weights=weights[:1])
    assert_agree(found, alone, name)


@pytest.mark.parametrize("name", ["row", "dual", "sinkhorn", "sliced", "mmd"])
def test_gradients_do_not_see_absent_points(clouds, name):
    x, y, *_ = clouds
    drift = DRIFTS[name]()
    own, data = weights_of(5), weights_of(7)
    x = np.where(own[..., None] > 0, x, np.nan)
    y = np.where(data[..., None] > 0, y, np.nan)

    def total(x):
        return ops.sum(
            ops.square(drift(x, y, positive_weights=data, negative_weights=own))
        )

    slope = contracts.in_one_program(
        lambda x: backend.gradient(total, ops.cast(x, "float32"))
    )
    found = contracts.numpy(slope(x))
    assert np.all(np.isfinite(found))
    assert np.any(found != 0)
    np.testing.assert_array_equal(found[own == 0], 0)
