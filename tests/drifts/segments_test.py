"""Features that share a field have the field that each has by itself."""

import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import drifts
from keras_drift import kernels
from keras_drift.drifts import normalizations
from keras_drift.drifts.segments import Segments

GROUPS, DIM = 2, 3
# Neither in order nor all different: reduced in runs of equal ones.
TOKENS = (2, 2, 1, 3)
SCALES = (1.0, 20.0, 0.3, 4.0)
WIDTHS = [0.4, 2.0]
UNITS = {"relative": True, "unit_rms": True}


def laplacian(normalization="row", **options):
    return drifts.KernelDrift(
        kernels.Laplacian(WIDTHS), normalization, **options
    )


SHARED = {
    "row": lambda: laplacian(**UNITS),
    "absolute": laplacian,
    "unit RMS only": lambda: laplacian(unit_rms=True),
    "relative only": lambda: laplacian(relative=True),
    "dual": lambda: laplacian("dual"),
    "dual in blocks": lambda: laplacian("dual", block_size=3),
    "official": lambda: laplacian("official_dual"),
    "sharp": lambda: laplacian("sharp", **UNITS),
    "score": lambda: laplacian("score", **UNITS),
    "guided": lambda: laplacian("dual", guidance_mode="velocity"),
    "smoothed": lambda: drifts.KernelDrift(
        "gaussian",
        normalizations.Row(outer_smoothing=4),
        self_interaction="included",
        **UNITS,
    ),
    "spherical": lambda: drifts.KernelDrift(
        kernels.VonMisesFisher(0.8), **UNITS
    ),
    "self-tuning": lambda: drifts.SelfTuningDrift(
        num_neighbors=3, symmetric=True, **UNITS
    ),
    "mmd": lambda: drifts.MMDDrift(kernels.Gaussian(WIDTHS), **UNITS),
    "divergence": lambda: drifts.FDivergenceDrift("chi2", **UNITS),
    "energy": lambda: drifts.EnergyDistanceDrift(unit_rms=True),
    "sinkhorn": lambda: drifts.SinkhornDrift(
        WIDTHS, num_steps=2, self_interaction="included", **UNITS
    ),
    "sinkhorn of distances": lambda: drifts.SinkhornDrift(
        cost="distance", num_steps=2, self_interaction="included", **UNITS
    ),
    "sum": lambda: drifts.Sum([laplacian("dual"), "energy_distance_drift"]),
    "lookahead": lambda: drifts.Lookahead(laplacian("dual"), 1, 0.5),
}


def points(count, seed):
    """Features `(groups, tokens, count, dim)`, each of a scale of its own."""
    rng = np.random.default_rng(seed)
    return [
        scale * rng.normal(size=(GROUPS, tokens, count, DIM)) + 1.0
        for tokens, scale in zip(TOKENS, SCALES, strict=True)
    ]


def arguments(drift):
    """Those of `field` for each feature: guidance, weights, absent points."""
    x, positives, unconditional = (
        points(count, seed) for seed, count in enumerate((5, 6, 4))
    )
    weights = np.ones((GROUPS, 6))
    weights[0, :2], weights[1, 0] = 2.0, 0.0
    scale = np.array([1.0, 2.5])
    found = []
    for k, tokens in enumerate(TOKENS):
        positives[k][1, :, 0] = 1e30  # absent
        given = {
            "x": x[k],
            "positives": positives[k],
            "unconditional": unconditional[k],
            "positive_weights": by_token(weights, tokens),
        }
        if drift.guidance_mode == "velocity":
            given["guidance_scale"] = by_token(scale, tokens)
        else:
            given["unconditional_weights"] = by_token(
                np.stack([scale - 1.0] * 4, axis=1), tokens
            )
        found.append(given)
    return found


def by_token(values, tokens):
    return np.stack([values] * tokens, axis=1)


def in_groups(given):
    return {
        key: value.reshape(-1, *value.shape[2:]).astype("float32")
        for key, value in given.items()
    }


@pytest.mark.parametrize("name", SHARED)
def test_each_feature_has_its_own_field(name):
    drift = SHARED[name]()
    assert drift.shares_fields
    of_each = arguments(drift)
    together = in_groups(
        {
            key: np.concatenate([given[key] for given in of_each], axis=1)
            for key in of_each[0]
        }
    )

    def both(together, of_each):
        shared = drift.field(**together, tokens=TOKENS)
        return shared, [drift.field(**given) for given in of_each]

    shared, expected = contracts.in_one_program(both)(
        together, [in_groups(given) for given in of_each]
    )
    velocity = contracts.numpy(shared.velocity).reshape(
        GROUPS, sum(TOKENS), 5, DIM
    )
    parts = np.split(velocity, np.cumsum(TOKENS)[:-1], axis=1)
    for k, (part, one) in enumerate(zip(parts, expected, strict=True)):
        contracts.assert_close(
            part.reshape(-1, 5, DIM), contracts.numpy(one.velocity), 1e-6
        )
        for key in ("length_scale", "norm"):
            contracts.assert_close(
                contracts.numpy(getattr(shared, key))[k],
                contracts.numpy(getattr(one, key)),
                1e-6,
            )


def test_means_are_those_of_each_feature():
    segments = Segments(TOKENS)
    values = np.arange(2 * 8 * 5, dtype="float32").reshape(2, 8, 5)
    means = segments.means(ops.convert_to_tensor(values.reshape(16, 5)))
    parts = np.split(values, np.cumsum(TOKENS)[:-1], axis=1)
    expected = [part.mean() for part in parts]
    np.testing.assert_allclose(contracts.numpy(means), expected, rtol=1e-6)
    spread = contracts.numpy(segments.per_group(means, 16))
    assert spread.shape == (16, 1, 1)
    rows = np.repeat(expected, TOKENS)
    np.testing.assert_allclose(spread.reshape(2, 8), [rows, rows], rtol=1e-6)
    again = segments.per_feature(ops.convert_to_tensor(spread))
    np.testing.assert_array_equal(
        contracts.numpy(again), contracts.numpy(means)
    )


class MyDrift(drifts.KernelDrift):
    """Inherits, but may take means over the batch."""


class MyNormalization(normalizations.Row):
    """The same."""


@pytest.mark.parametrize(
    "drift",
    [
        lambda: MyDrift(),
        lambda: drifts.KernelDrift(normalization=MyNormalization()),
        lambda: drifts.SlicedWassersteinDrift(4),
        lambda: drifts.VariationalDrift("mmd"),
        lambda: drifts.Sum(["kernel_drift", MyDrift()]),
        lambda: drifts.Lookahead(MyDrift()),
    ],
)
def test_other_drifts_take_one_feature_at_a_time(drift):
    drift = drift()
    assert not drift.shares_fields
    x = np.ones((3, 2, 1), "float32")
    with pytest.raises(ValueError, match=r"one feature at a time.*\(1, 2\)"):
        drift.field(x, x, tokens=(1, 2))


def test_groups_are_those_of_the_tokens():
    x = np.ones((4, 2, 1), "float32")
    with pytest.raises(ValueError, match=r"multiple of their sum.*\(1, 2\)"):
        drifts.KernelDrift().field(x, x, tokens=(1, 2))


@pytest.mark.parametrize("tokens", [(1,), (3,), (1, 1, 1), (4, 1, 4)])
def test_segments_of_other_numbers_of_tokens(tokens):
    segments = Segments(tokens)
    assert segments.total == sum(tokens)
    values = np.arange(2 * sum(tokens), dtype="float32").reshape(2, -1)
    means = segments.means(ops.convert_to_tensor(values.reshape(-1)))
    parts = np.split(values, np.cumsum(tokens)[:-1], axis=1)
    expected = [part.mean() for part in parts]
    np.testing.assert_allclose(contracts.numpy(means), expected, rtol=1e-6)
    one = segments.per_feature(ops.convert_to_tensor(2.5))
    np.testing.assert_array_equal(contracts.numpy(one), [2.5] * len(tokens))
