"""The self-tuning drift against its formula, and the laws it must keep."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import DriftModel
from keras_drift import backend
from keras_drift import callbacks
from keras_drift import drifts
from keras_drift import kernels
from keras_drift import spectral
from keras_drift.drifts import SelfTuningDrift
from keras_drift.drifts import normalizations
from kernel_drift_by_hand import dual_by_hand
from kernel_drift_by_hand import gradient_by_hand
from kernel_drift_by_hand import row_by_hand
from small_models import small_mlp

assert_close = functools.partial(contracts.assert_close, tolerance=2e-5)

# Not 1.0: a neutral value hides a multiplication written for a division.
WIDTHS = [0.6, 1.7]
each_form = pytest.mark.parametrize("symmetric", [False, True])
each_normalization = pytest.mark.parametrize(
    "normalization", ["row", "dual", "score"]
)


def make(normalization="row", symmetric=False, num_neighbors=3, **options):
    options = {"relative": False, "unit_rms": False, **options}
    return SelfTuningDrift(
        kernels.Gaussian(WIDTHS),
        num_neighbors,
        symmetric,
        normalization=normalization,
        **options,
    )


@functools.cache  # a test compiles what no other has
def program(*args):
    return contracts.in_one_program(make(*args))


def field(*args, **options):
    function = (
        contracts.in_one_program(make(*args, **options))
        if options
        else program(*args)
    )
    return lambda *args, **kw: contracts.numpy(function(*args, **kw))


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(2, size, 3)) for size in (5, 7, 7)]


def radius_by_hand(point, sides, k, left_out=None):
    """Grows a ball until it holds `k` points of each side.

    Args:
        point: the center.
        sides: pairs of points and weights.
        k: how many.
        left_out: the index of a point of the last side that does not count.
    """
    radii = []
    for number, (points, weights) in enumerate(sides):
        found = []
        for j, (p, w) in enumerate(zip(points, weights, strict=True)):
            if w > 0 and not (number == 1 and j == left_out):
                found.append((np.linalg.norm(p - point), max(w, 1)))
        total = radius = 0.0
        for distance, count in sorted(found):
            if total < k:
                radius = distance
                total += count
        radii.append(radius)
    return max(radii)


def velocity_by_hand(by_hand, symmetric, x, y, z=None, a=None, b=None, k=3):
    """The formulas with a bandwidth for each pair, in float64."""
    excluded = z is None
    z = x if excluded else z
    a = np.ones(y.shape[:2]) if a is None else a
    b = np.ones(z.shape[:2]) if b is None else b
    total = np.zeros(x.shape)
    for g in range(len(x)):
        sides = (y[g], a[g]), (z[g], b[g])
        samples = [
            radius_by_hand(p, sides, k, i if excluded else None)
            for i, p in enumerate(x[g])
        ]
        for width in WIDTHS:

            def similarity(p, q, samples=samples, sides=sides, g=g, w=width):
                unit = samples[np.abs(x[g] - p).sum(-1).argmin()]
                if symmetric:
                    unit = np.sqrt(unit * radius_by_hand(q, sides, k))
                return np.exp(-((np.linalg.norm(p - q) / (w * unit)) ** 2) / 2)

            found = by_hand(similarity, x[g], y[g], a[g], z[g], b[g], excluded)
            if by_hand is gradient_by_hand:
                found = found * (width * np.array(samples)[:, None]) ** 2
            total[g] += found / len(WIDTHS)
    return total


@each_form
def test_contract(symmetric):
    contracts.check_drift(
        SelfTuningDrift,
        {"num_neighbors": 3, "symmetric": symmetric},
        (2, 5, 3),
        (2, 7, 3),
        (2, 6, 3),
        groups_independent=True,
        compiles=symmetric,
    )


@each_form
@pytest.mark.parametrize("by_hand", [row_by_hand, dual_by_hand])
@pytest.mark.parametrize("given", [True, False])
def test_matches_the_formula(clouds, symmetric, by_hand, given):
    name = by_hand.__name__.removesuffix("_by_hand")
    x, y, z = clouds
    weights = np.array([[1, 2, 0, 3, 1, 0.25, 1], [1, 1, 2, 1, 0, 1, 1.0]])
    negatives = {"negatives": z} if given else {}
    found = field(name, symmetric)(x, y, **negatives, positive_weights=weights)
    expected = velocity_by_hand(
        by_hand, symmetric, x, y, z if given else None, weights
    )
    assert_close(found, expected)


def test_a_score_has_the_radius_as_a_constant(clouds):
    """Of the radii, taken as fixed while the sample moves."""
    x, y, z = clouds
    expected = np.zeros(x.shape)
    for g in range(2):
        sides = (y[g], np.ones(7)), (z[g], np.ones(7))
        for i in range(5):
            radius = radius_by_hand(x[g, i], sides, 3)
            for width in WIDTHS:
                s = width * radius
                expected[g, i] += (
                    s**2
                    / len(WIDTHS)
                    * gradient_by_hand(
                        lambda p, q, s=s: np.exp(
                            -(np.linalg.norm(p - q) ** 2) / (2 * s**2)
                        ),
                        x[g, i : i + 1],
                        y[g],
                        np.ones(7),
                        z[g],
                        np.ones(7),
                        False,
                    )[0]
                )
    assert_close(field("score")(*clouds), expected)


def test_on_a_line_it_is_known_in_closed_form():
    # Two positives at 3 and two negatives at -1 and -2: the ball of two each
    # has radius 3, and all weights on a side are known.
    x, y, z = (np.array(v)[:, None] for v in ([0.0], [3.0, 3.0], [-1.0, -2.0]))
    width = 0.8
    drift = SelfTuningDrift(kernels.Gaussian(width), num_neighbors=2)
    a, b = (np.exp(-((d / (width * 3.0)) ** 2) / 2) for d in (1.0, 2.0))
    expected = 3.0 + (a * 1.0 + b * 2.0) / (a + b)
    found = float(drift(x, y, z)[0, 0])
    assert found == pytest.approx(expected, rel=1e-5)


@each_form
@each_normalization
def test_blocks_do_not_change_the_result(clouds, symmetric, normalization):
    x, y, _ = clouds
    weights = np.array([[1, 2, 0, 3, 1, 1, 1], [1, 1, 2, 1, 0, 1, 1.0]])
    velocities = [
        field(normalization, symmetric, block_size=size)(
            x, y, positive_weights=weights
        )
        for size in (None, (2, 3))
    ]
    assert_close(*velocities)


@each_form
@each_normalization
def test_scales_with_the_points(clouds, symmetric, normalization):
    velocity = field(normalization, symmetric)
    expected = velocity(*clouds)
    # A power of two, so that rounding is the same.
    large = velocity(*(1024 * cloud for cloud in clouds))
    np.testing.assert_allclose(large, 1024 * expected, rtol=1e-6)
    assert_close(velocity(*(1e-3 * c for c in clouds)), 1e-3 * expected)


@each_form
@each_normalization
def test_moves_with_rigid_motions(clouds, symmetric, normalization):
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    moved = [cloud @ rotation + [2.0, -1.0, 0.5] for cloud in clouds]
    velocity = field(normalization, symmetric)
    assert_close(velocity(*moved), velocity(*clouds) @ rotation)


@each_form
@each_normalization
def test_turns_round_when_the_roles_are_swapped(
    clouds, symmetric, normalization
):
    """So the expectation is zero where both sides have one distribution."""
    x, y, z = clouds
    velocity = field(normalization, symmetric)
    assert np.abs(velocity(x, y, z)).max() > 0.1
    assert_close(velocity(x, y, z), -velocity(x, z, y))


@each_form
def test_rests_where_the_positives_are_the_negatives(clouds, symmetric):
    x, y, _ = clouds
    velocity = field("row", symmetric)
    # Not in one program, in which an optimizing compiler may round the two
    # sides in different ways.
    at_rest = make("row", symmetric)(x, y, y)
    np.testing.assert_array_equal(contracts.numpy(at_rest), 0)
    np.testing.assert_allclose(velocity(x, y, y), 0, atol=1e-7)
    np.testing.assert_allclose(velocity(x, y, y[:, ::-1]), 0, atol=1e-6)


@each_form
@each_normalization
def test_an_integer_weight_counts_repetitions(clouds, symmetric, normalization):
    x, positives, negatives = clouds
    given = {
        "positives": positives,
        "negatives": negatives,
        "unconditional": negatives[:, ::-1] + 0.5,
    }
    velocity = contracts.in_one_program(make(normalization, symmetric))
    weights, repeated = {}, {}
    for name, cloud in given.items():
        counts = np.array([2, 1, 0, 3, 0, 0, 1])
        weights[name.removesuffix("s") + "_weights"] = np.stack([counts] * 2)
        repeated[name] = np.repeat(cloud, counts, axis=1)
    assert_close(
        contracts.numpy(velocity(x, **given, **weights)),
        contracts.numpy(velocity(x, **repeated)),
    )


def test_each_field_of_a_guided_velocity_has_radii_of_its_own(clouds):
    x, y, z = clouds
    u = z[:, :4] + 1.0
    guided = field("row", guidance_mode="velocity")
    found = guided(x, y, z, unconditional=u, guidance_scale=1.5)
    plain = field("row")
    assert_close(found, plain(x, y, z) + 0.5 * plain(x, y, u))


def test_few_points_count_as_they_are(clouds):
    """With fewer points than neighbors, the ball holds all of them."""
    velocity = field("row", False, 7)
    assert_close(field("row", False, 100)(*clouds), velocity(*clouds))


def test_a_distant_sample_takes_one_step():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 20, 2))
    x[0] = [1e4, 0.0]
    velocity = field("row", False, 8)(x, y)
    # Its bandwidth is its distance, so it is drawn to the mean.
    expected = y.mean(axis=0) - x[1:].mean(axis=0)
    np.testing.assert_allclose(velocity[0], expected, atol=0.05)


@each_form
def test_stays_finite_at_extremes(symmetric):
    velocity = contracts.in_one_program(make("row", symmetric))
    lone = np.ones((1, 1, 3))
    np.testing.assert_array_equal(velocity(lone, lone), 0)
    coincident = np.zeros((1, 7, 3))
    x = np.concatenate([coincident, np.full((1, 1, 3), 1e6)], axis=1)
    assert np.all(np.isfinite(contracts.numpy(velocity(x, coincident))))
    nothing = {
        "positive_weights": np.zeros((1, 7)),
        "negative_weights": np.zeros((1, 8)),
    }
    np.testing.assert_array_equal(velocity(x, coincident, **nothing), 0)


@each_form
def test_radii_have_no_gradient(clouds, monkeypatch, symmetric):
    x, y, _ = (cloud.astype("float32") for cloud in clouds)
    drift = make("row", symmetric)
    radii, find = [], SelfTuningDrift._radii

    def slope(x):
        return backend.gradient(
            lambda x: ops.sum(ops.square(drift(x, y))), ops.convert_to_tensor(x)
        )

    def record(self, sides):
        radii.append(contracts.numpy(find(self, sides)))
        return ops.convert_to_tensor(radii[-1])

    found = contracts.numpy(contracts.in_one_program(slope)(x))
    monkeypatch.setattr(SelfTuningDrift, "_radii", record)
    drift(x, y)
    fixed = iter(radii)
    monkeypatch.setattr(
        SelfTuningDrift,
        "_radii",
        lambda self, sides: ops.convert_to_tensor(next(fixed)),
    )
    expected = contracts.numpy(contracts.in_one_program(slope)(x))
    assert len(radii) == (3 if symmetric else 1)
    assert np.abs(expected).max() > 0.1
    assert_close(found, expected, tolerance=1e-4)


def test_learns_a_toy():
    model = DriftModel(small_mlp(), SelfTuningDrift(), seed=0)
    model.compile(keras.optimizers.Adam(1e-2))
    data = np.random.default_rng(0).normal(size=(128, 2)) + 2.0
    model.fit(data, batch_size=64, epochs=40, verbose=0)
    assert np.linalg.norm(model.generate(500, seed=0).mean(axis=0) - 2) < 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalization": "official_dual"}, "one bandwidth for all samples"),
        (
            {
                "normalization": normalizations.Row(outer_smoothing=2),
                "self_interaction": "included",
            },
            "outer_smoothing=2",
        ),
        ({"kernel": "von_mises_fisher"}, "kernel of distances"),
        ({"kernel": kernels.Laplacian("auto")}, r"kernel=Laplacian\('auto'\)"),
        ({"signal_share": True}, "signal_share=True"),
        ({"num_neighbors": 0}, "num_neighbors=0"),
        ({"num_neighbors": 2.5}, r"num_neighbors=2\.5"),
        ({"symmetric": "yes"}, "symmetric='yes'"),
    ],
)
def test_refuses_what_does_not_go_together(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        SelfTuningDrift(**options)


def test_bandwidths_are_not_lengths():
    drift = SelfTuningDrift()
    model = DriftModel(small_mlp(), drift)
    for relative in (True, False):
        plan = spectral.plan_annealing(
            np.random.default_rng(0).normal(size=(100, 2)),
            relative=relative,
            verbose=False,
        )
        for each in (drift, drifts.Lookahead(SelfTuningDrift())):
            model.drift = each
            with pytest.raises(ValueError, match="multiples of neighbor radii"):
                callbacks.BandwidthAnnealing(plan).set_model(model)
    mixed = drifts.Sum([SelfTuningDrift(), "kernel_drift"])
    with pytest.raises(ValueError, match=r"'neighbor radius'.*'data'"):
        mixed.anneal(1.0)
    with pytest.raises(ValueError, match="in units of 'neighbor radius'"):
        spectral.measure_decay(drift, [1.0], dim=1)
    with pytest.raises(ValueError, match="nothing to adapt"):
        drift.adapt(np.zeros((100, 2)))
    # A schedule of the multiple is welcome.
    drifts.Sum([SelfTuningDrift(), SelfTuningDrift()]).anneal(0.5)
    drift.anneal(0.5)
    np.testing.assert_allclose(contracts.numpy(drift.bandwidth), [0.5, 0.0625])
