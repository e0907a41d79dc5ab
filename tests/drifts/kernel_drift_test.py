import keras
import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import kernels
from keras_drift.drifts import KernelDrift
from keras_drift.ops import pairwise_distances

KERNELS = {
    "gaussian": (kernels.Gaussian, {}, lambda r: np.exp(-(r**2) / 2)),
    "laplacian": (kernels.Laplacian, {}, lambda r: np.exp(-r)),
    "matern": (
        kernels.Matern,
        {"nu": 2.5},
        lambda r: (1 + r + r**2 / 3) * np.exp(-r),
    ),
    "inverse_multiquadric": (
        kernels.InverseMultiquadric,
        {"exponent": 1.5},
        lambda r: (1 + r**2) ** -1.5,
    ),
}
# `integral from r to infinity of s k(s) ds`, by hand.
COMPANIONS = {
    "gaussian": lambda r: np.exp(-(r**2) / 2),
    "laplacian": lambda r: (1 + r) * np.exp(-r),
    "matern": lambda r: 5 * (1 + r + 2 * r**2 / 5 + r**3 / 15) * np.exp(-r),
    "inverse_multiquadric": lambda r: (1 + r**2) ** -0.5,
}
# Not 1.0: a neutral value hides a multiplication written for a division.
BANDWIDTHS = [0.4, 0.7, 2.0]

each_kernel = pytest.mark.parametrize("name", KERNELS)
each_normalization = pytest.mark.parametrize("normalization", ["row", "dual"])
every_normalization = pytest.mark.parametrize(
    "normalization", ["row", "dual", "sharp", "score"]
)


def make(name, normalization, bandwidth=BANDWIDTHS, **kwargs):
    cls, init_kwargs, _ = KERNELS[name]
    kernel = cls(**init_kwargs, bandwidth=bandwidth)
    return KernelDrift(kernel, normalization, **kwargs)


def draw(*sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=size).astype("float32") for size in sizes]


@each_normalization
@each_kernel
def test_contract(name, normalization):
    cls, init_kwargs, _ = KERNELS[name]
    contracts.check_drift(
        KernelDrift,
        init_kwargs={
            "kernel": cls(**init_kwargs, bandwidth=BANDWIDTHS),
            "normalization": normalization,
        },
        x=(2, 5, 3),
        positives=(2, 7, 3),
        negatives=(2, 6, 3),
        groups_independent=normalization == "row",
        compiles=name == "laplacian",
    )


@pytest.mark.parametrize(
    "options",
    [
        {"normalization": "row", "relative": True, "unit_rms": True},
        {
            "normalization": "dual",
            "relative": False,
            "unit_rms": False,
            "self_interaction": "independent",
        },
        {"normalization": "dual", "self_interaction": "included"},
        {"normalization": "dual", "released_parity": True},
        {"normalization": "dual", "bias_correction": True},
        {"normalization": "sharp", "relative": False},
        {
            "normalization": "score",
            "relative": False,
            "bias_correction": True,
            "guidance": "velocity",
        },
    ],
)
def test_contract_of_other_options(options):
    contracts.check_drift(
        KernelDrift,
        init_kwargs={"kernel": kernels.Laplacian(BANDWIDTHS), **options},
        x=(2, 5, 3),
        positives=(2, 7, 3),
        negatives=(2, 6, 3),
        groups_independent=options.get("relative") is False,
        compiles="released_parity" in options,
    )


def test_runs_inside_of_a_program_of_any_backend():
    x, y, z, _ = draw(*SIZES)
    drift = make("laplacian", "dual")
    found = contracts.compiled(drift, x, y, z, jit_compile="auto")
    expected = contracts.numpy(drift(x, y, z))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def weighted_mean(points, weights):
    return sum(w * p for w, p in zip(weights, points, strict=True)) / sum(
        weights
    )


def profile_of(name, normalization):
    """The kernel whose mass a field divides by."""
    return COMPANIONS[name] if normalization == "sharp" else KERNELS[name][2]


def gradient_by_hand(k, x, y, a, z, b, excluded):
    """Of a difference of log-densities, by central differences."""

    def log_density(point, points, weights):
        return np.log(
            sum(w * k(point, p) for p, w in zip(points, weights, strict=True))
        )

    velocity = np.zeros(x.shape)
    step = 1e-5 * np.eye(x.shape[1])
    for i, point in enumerate(x):
        b_i = np.array(b, "float64")
        b_i[i] *= not excluded
        for d, h in enumerate(step):
            for sign in (1, -1):
                at = point + sign * h
                rise = log_density(at, y, a) - log_density(at, z, b_i)
                velocity[i, d] += sign * rise / 2e-5
    return velocity


def row_by_hand(k, x, y, a, z, b, excluded):
    """Section 1.1 of the paper, a sample at a time."""
    velocity = []
    for i, point in enumerate(x):
        near = [w * k(point, p) for p, w in zip(y, a, strict=True)]
        here = [w * k(point, p) for p, w in zip(z, b, strict=True)]
        if excluded:
            here[i] = 0.0
        velocity.append(weighted_mean(y, near) - weighted_mean(z, here))
    return np.array(velocity)


def dual_by_hand(k, x, y, a, z, b, excluded):
    """Algorithm 2 of the paper, with integer weights as repetitions."""
    points = [*y, *z]
    weights = [*a, *b]
    similar = np.array([[k(s, p) for p in points] for s in x])
    if excluded:
        for i in range(len(x)):
            similar[i, len(y) + i] = 0.0
    velocity = []
    for i in range(len(x)):
        row = sum(w * s for w, s in zip(weights, similar[i], strict=True))
        affinity = []
        for j, weight in enumerate(weights):
            column = sum(similar[:, j])
            share = similar[i, j] / np.sqrt(row * column) if column else 0.0
            affinity.append(weight * share)
        attract, repel = affinity[: len(y)], affinity[len(y) :]
        velocity.append(
            sum(repel) * sum(w * p for w, p in zip(attract, y, strict=True))
            - sum(attract) * sum(w * p for w, p in zip(repel, z, strict=True))
        )
    return np.array(velocity)


def velocity_by_hand(
    profile,
    normalization,
    x,
    y,
    z=None,
    u=None,
    a=None,
    b=None,
    c=None,
    relative=False,
    unit_rms=False,
    self_interaction="excluded",
):
    """The papers' formulas in float64; shares no code with the layer."""
    excluded = z is None and self_interaction == "excluded"
    z = x if z is None else z
    groups, _, dim = x.shape
    a = np.ones(y.shape[:2]) if a is None else a
    b = np.ones(z.shape[:2]) if b is None else b
    if u is not None:
        c = np.ones(u.shape[:2]) if c is None else c
        z, b = np.concatenate([z, u], 1), np.concatenate([b, c], 1)
    x, y, z = (cloud.astype("float64") for cloud in (x, y, z))
    unit = 1.0
    if relative:
        pairs = []
        for g in range(groups):
            for i, point in enumerate(x[g]):
                for p, w in zip(y[g], a[g], strict=True):
                    pairs.append((w, np.linalg.norm(point - p)))
                for j, (p, w) in enumerate(zip(z[g], b[g], strict=True)):
                    if not (excluded and i == j):
                        pairs.append((w, np.linalg.norm(point - p)))
        unit = sum(w * r for w, r in pairs) / sum(w for w, _ in pairs)
    by_hand = {"row": row_by_hand, "dual": dual_by_hand}
    by_hand = by_hand.get(normalization, gradient_by_hand)
    fields = []
    for bandwidth in BANDWIDTHS:

        def k(p, q, width=bandwidth * unit):
            return profile(np.linalg.norm(p - q) / width)

        fields.append(
            [
                by_hand(k, x[g], y[g], a[g], z[g], b[g], excluded)
                for g in range(groups)
            ]
        )
        if by_hand is gradient_by_hand:  # in units of a step
            scale = (bandwidth * unit) ** 2 * profile(0.0)
            fields[-1] = scale * np.array(fields[-1])
    fields = np.array(fields)
    norm = np.sqrt(np.mean(np.sum(fields**2, axis=-1), axis=(1, 2)))
    if unit_rms:
        # To one unit per coordinate, which is `unit / sqrt(dim)` long.
        rms = np.sqrt(np.mean(fields**2, axis=(1, 2, 3), keepdims=True))
        length = unit / np.sqrt(dim) if relative else 1.0
        return np.sum(fields / rms, axis=0) * length, norm
    return np.mean(fields, axis=0), norm


SIZES = ((2, 5, 3), (2, 7, 3), (2, 6, 3), (2, 4, 3))
WEIGHTS = {
    "a": np.array([[1, 2, 0.5, 0, 1, 3, 1], [0.2, 1, 1, 1, 0, 0, 4.0]]),
    "b": np.array([[1, 0, 2, 0.5, 1], [3, 1, 1, 0.25, 2.0]]),
    "c": np.array([[0.5, 0, 1, 2], [0.1, 0.2, 0.3, 0.4]]),
}


@pytest.mark.parametrize(
    ("name", "block_size"),
    [*[(name, None) for name in KERNELS], ("laplacian", (5, 7))],
)
@pytest.mark.parametrize("dim", [3, 64])
@each_normalization
def test_float32_is_within_a_hundred_thousandth(
    name, normalization, dim, block_size
):
    """Of float64, with all pairs at once and block by block."""
    x, y, u = draw((2, 12, dim), (2, 20, dim), (2, 6, dim))
    y = y + 0.5
    drift = make(name, normalization, relative=True, block_size=block_size)
    found = contracts.in_one_program(
        lambda x, y, u: drift(x, y, unconditional=u)
    )(x, y, u)
    expected, _ = velocity_by_hand(
        KERNELS[name][2],
        normalization,
        x,
        y,
        u=u,
        relative=True,
        unit_rms=normalization == "dual",
    )
    np.testing.assert_allclose(
        contracts.numpy(found), expected, atol=1e-5 * np.abs(expected).max()
    )


@pytest.mark.parametrize("jit_compile", [False, True])
@each_normalization
def test_blocks_run_inside_of_a_program(normalization, jit_compile):
    if contracts.BACKEND == "torch" and jit_compile:
        pytest.skip("PyTorch compiles nothing here")
    x, y, z, _ = draw(*SIZES)
    whole = make("gaussian", normalization)
    cut = make("gaussian", normalization, block_size=(2, 3))
    found = contracts.compiled(cut, x, y, z, jit_compile=jit_compile)
    np.testing.assert_allclose(
        found, contracts.numpy(whole(x, y, z)), rtol=1e-4, atol=1e-5
    )


@every_normalization
@each_kernel
def test_matches_the_formula(name, normalization):
    x, y, z, _ = draw(*SIZES)
    drift = make(name, normalization, relative=False, unit_rms=False)
    field = drift.field(x, y, z)
    profile = profile_of(name, normalization)
    velocity, norm = velocity_by_hand(profile, normalization, x, y, z)
    error = np.abs(contracts.numpy(field.velocity) - velocity).max()
    assert error <= 1e-5 * np.abs(velocity).max()
    np.testing.assert_allclose(contracts.numpy(field.norm), norm, rtol=1e-5)


@pytest.mark.parametrize("unit_rms", [False, True])
@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "self_interaction", ["excluded", "included", "independent"]
)
@each_normalization
def test_matches_the_formula_with_every_option(
    normalization, self_interaction, weighted, relative, unit_rms
):
    x, y, z, u = draw(*SIZES)
    options = {
        "relative": relative,
        "unit_rms": unit_rms,
        "self_interaction": self_interaction,
    }
    drift = make("laplacian", normalization, **options)
    given = {"negatives": z[:, :5]} if self_interaction == "independent" else {}
    by_hand = {"z": z[:, :5]} if self_interaction == "independent" else {}
    if weighted:
        given |= {
            "unconditional": u,
            "positive_weights": WEIGHTS["a"],
            "negative_weights": WEIGHTS["b"],
            "unconditional_weights": WEIGHTS["c"],
        }
        by_hand |= {"u": u, **WEIGHTS}
    field = drift.field(x, y, **given)
    velocity, norm = velocity_by_hand(
        KERNELS["laplacian"][2], normalization, x, y, **by_hand, **options
    )
    np.testing.assert_allclose(
        contracts.numpy(field.velocity),
        velocity,
        atol=3e-5 * np.abs(velocity).max(),
    )
    np.testing.assert_allclose(contracts.numpy(field.norm), norm, rtol=3e-5)


@pytest.mark.parametrize("block_size", [None, (2, 3)])
@pytest.mark.parametrize("name", ["laplacian", "matern"])
@pytest.mark.parametrize("normalization", ["sharp", "score"])
def test_gradient_fields_match_the_formula_with_options(
    normalization, name, block_size
):
    x, y, _, u = draw(*SIZES)
    options = {"relative": True, "unit_rms": True}
    drift = make(name, normalization, block_size=block_size, **options)
    weights = {
        "positive_weights": WEIGHTS["a"],
        "negative_weights": WEIGHTS["b"],
        "unconditional_weights": WEIGHTS["c"],
    }
    velocity, norm = velocity_by_hand(
        profile_of(name, normalization),
        normalization,
        x,
        y,
        u=u,
        **WEIGHTS,
        **options,
    )
    field = contracts.in_one_program(drift.field)(
        x, y, unconditional=u, **weights
    )
    np.testing.assert_allclose(
        contracts.numpy(field.velocity),
        velocity,
        atol=3e-5 * np.abs(velocity).max(),
    )
    np.testing.assert_allclose(contracts.numpy(field.norm), norm, rtol=3e-5)


def corrected_mean(values, weights, counts):
    """Papers, section 9, with a copy of a point for each of its counts."""
    shares = np.array(weights) / np.sum(weights)
    mean = shares @ values
    squares = shares**2 / np.maximum(counts, 1)
    return mean + squares @ (values - mean)


def corrected_by_hand(name, normalization, bandwidth, x, y, a, z, b):
    """The same as `velocity_by_hand`, for one group and its own negatives."""
    kernel = KERNELS[name][2]
    profile = profile_of(name, normalization)

    def radius(p, q):
        return np.linalg.norm(p - q) / bandwidth

    similar = [
        np.array([[profile(radius(s, p)) for p in c] for s in x])
        for c in (y, z)
    ]
    gains = np.ones(len(x))
    if normalization == "dual":
        joined = np.concatenate([a * similar[0], b * similar[1]], axis=1)
        rows = joined.sum(axis=1, keepdims=True)
        similar = [s / np.sqrt(rows * s.sum(axis=0)) for s in similar]
        gains = (similar[0] @ a) * (similar[1] @ b)
    ends = []
    for s, cloud, counts in ((similar[0], y, a), (similar[1], z, b)):
        means = []
        for point, row in zip(x, s, strict=True):
            r = np.array([radius(point, p) for p in cloud])
            pull = np.ones(len(cloud))
            if normalization == "sharp":
                pull = profile(0.0) * kernel(r) / profile(r)
            if normalization == "score":
                slope = (kernel(r + 1e-6) - kernel(r - 1e-6)) / 2e-6
                pull = -slope / (r * kernel(r))
            values = pull[:, None] * (cloud - point)
            means.append(corrected_mean(values, counts * row, counts))
        ends.append(np.array(means))
    return gains[:, None] * (ends[0] - ends[1])


@pytest.mark.parametrize("block_size", [None, (2, 3)])
@every_normalization
def test_bias_correction_matches_its_formula(normalization, block_size):
    x, y, z, _ = (cloud[0] for cloud in draw(*SIZES))
    drift = make(
        "matern",
        normalization,
        [0.7],
        relative=False,
        unit_rms=False,
        bias_correction=True,
        block_size=block_size,
    )
    counts = WEIGHTS["a"][0], np.append(WEIGHTS["b"][0], 0.3)
    found = contracts.in_one_program(drift)(
        x, y, z, positive_weights=counts[0], negative_weights=counts[1]
    )
    expected = corrected_by_hand(
        "matern",
        normalization,
        0.7,
        *(v.astype("float64") for v in (x, y, counts[0], z, counts[1])),
    )
    np.testing.assert_allclose(
        contracts.numpy(found), expected, atol=1e-5 * np.abs(expected).max()
    )


@every_normalization
def test_bias_correction_does_nothing_to_a_lone_point(normalization):
    x, y, z = draw((3, 2), (1, 2), (1, 2))
    options = {"relative": False, "unit_rms": False}
    plain, corrected = (
        contracts.in_one_program(
            make("gaussian", normalization, bias_correction=b, **options)
        )
        for b in (False, True)
    )
    np.testing.assert_allclose(
        contracts.numpy(corrected(x, y, z)),
        contracts.numpy(plain(x, y, z)),
        atol=1e-6,
    )


def test_bias_correction_does_nothing_where_one_point_has_all_the_weight():
    x = np.zeros((1, 1))
    y, z = np.array([[0.1], [5.0], [7.0]]), np.array([[0.3], [-5.0]])
    drift = make("laplacian", "row", 0.05, bias_correction=True)
    velocity = contracts.in_one_program(drift)(x, y, z)
    assert contracts.numpy(velocity).item() == pytest.approx(-0.2, abs=1e-6)


def test_corrected_means_stay_among_the_points():
    # In one dimension and away from a far lone negative: between the ends.
    y = np.linspace(-1, 1, 5)[None, :, None].repeat(40, axis=0)
    rng = np.random.default_rng(0)
    weights = rng.exponential(size=(40, 5)) ** 3
    x = rng.normal(size=(40, 1, 1))
    drift = make("gaussian", "row", 0.3, bias_correction=True)
    velocity = contracts.in_one_program(drift)(
        x, y, np.zeros((40, 1, 1)), positive_weights=weights
    )
    means = contracts.numpy(velocity)
    assert np.all(np.abs(means) <= 1 + 1e-5)
    assert np.ptp(means) > 1


def test_bias_of_the_correction_falls_faster():
    """Papers, section 9: like the second power of the number of points."""
    rng = np.random.default_rng(0)
    # Of standard normal data, around a place off the middle.
    place, width, groups = 1.5, 0.5, 20_000
    mean = place / (1 + width**2)
    mass = np.exp(-(place**2) / (2 * (1 + width**2)))
    mass *= width / np.sqrt(1 + width**2)
    x, zeros = np.full((groups, 1, 1), place), np.zeros((groups, 1, 1))
    bias = {}
    for n in (16, 64):
        y = rng.normal(size=(groups, n, 1))
        # What the error is to first order, zero on average: without it there
        # is less noise.
        k = np.exp(-((y - place) ** 2) / (2 * width**2))
        noise = np.mean(k * (y - mean), axis=1)[:, 0] / mass
        for corrected in (False, True):
            drift = make("gaussian", "row", width, bias_correction=corrected)
            means = contracts.numpy(
                contracts.in_one_program(drift)(x, y, zeros)
            )
            bias[corrected, n] = np.mean(means[:, 0, 0] - mean - noise)
    assert bias[False, 16] / bias[False, 64] < 8
    assert abs(bias[True, 16]) > 16 * abs(bias[True, 64])
    assert abs(bias[True, 64]) < 0.1 * abs(bias[False, 64])


def test_gradient_fields_have_a_symmetric_jacobian():
    """And the row field of any kernel but the Gaussian has not."""
    y, z = draw((7, 3), (6, 3))
    step, point = 2e-2, draw((1, 3), seed=3)[0]
    # The six ends of the differences, in groups of their own.
    ends = point + step * np.concatenate([np.eye(3), -np.eye(3)])
    groups = [np.stack([cloud] * 6) for cloud in (y, z)]

    def asymmetry(normalization, name="laplacian"):
        drift = make(name, normalization, [0.7], relative=False, unit_rms=False)
        program = contracts.in_one_program(drift)
        velocity = contracts.numpy(program(ends[:, None], *groups))[:, 0]
        jacobian = (velocity[:3] - velocity[3:]) / (2 * step)
        return np.linalg.norm(jacobian - jacobian.T) / np.linalg.norm(jacobian)

    for name in ("laplacian", "inverse_multiquadric"):
        assert asymmetry("sharp", name) < 1e-3
        assert asymmetry("score", name) < 1e-3
    assert asymmetry("row", "gaussian") < 1e-3
    assert asymmetry("row") > 0.02


@pytest.mark.parametrize("normalization", ["sharp", "score"])
def test_gradient_fields_of_a_gaussian_are_its_row_field(normalization):
    x, y, z, _ = draw(*SIZES)
    expected = contracts.numpy(make("gaussian", "row")(x, y, z))
    found = contracts.numpy(make("gaussian", normalization)(x, y, z))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_sharp_field_is_the_gradient_of_a_loss():
    """Papers, 7.2: of the log-densities of the companion, points held fixed."""
    x, y, z, _ = draw(*SIZES)
    kernel, width = kernels.Laplacian(0.7), 0.7

    def loss(samples):
        def log_density(points):
            radius = pairwise_distances(samples, points) / width
            return ops.logsumexp(kernel.log_companion(radius), axis=-1)

        return ops.mean(log_density(z) - log_density(y))

    found = contracts.gradient(loss, x)
    velocity = contracts.numpy(KernelDrift(kernel, "sharp")(x, y, z))
    expected = -velocity / width**2 / (x.shape[0] * x.shape[1])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_far_away_a_gradient_field_still_knows_the_way():
    # A Laplacian there has no density left, but a slope of its logarithm.
    x, y, z = np.array([[[0.0]], [[1e6]], [[1e6 + 8]]])
    for normalization in ("sharp", "score"):
        drift = make("laplacian", normalization, 1e-6)
        velocity = contracts.numpy(drift(x, y, x + 1.0)).item()
        assert velocity == pytest.approx(0.0, abs=1e-9)
        velocity = contracts.numpy(drift(x, y, -z)).item()
        assert velocity == pytest.approx(2e-6, rel=1e-4)


def test_sharp_needs_a_companion():
    with pytest.raises(ValueError, match=r"companion.*`exponent` above 1"):
        KernelDrift(kernels.InverseMultiquadric(exponent=0.5), "sharp")
    with pytest.raises(NotImplementedError, match=r"no closed form.*companion"):
        KernelDrift("spherical_logarithmic", "sharp")


def test_defaults_are_the_recipes():
    row, dual = KernelDrift(), KernelDrift(normalization="dual")
    assert (row.relative, row.unit_rms) == (False, False)
    assert (dual.relative, dual.unit_rms) == (True, True)
    assert type(row.kernel) is kernels.Laplacian
    assert row.self_interaction == "excluded"


@each_normalization
def test_unit_fields_have_unit_size(normalization):
    x, y = draw((2, 5, 3), (2, 7, 3))
    for relative in (True, False):
        drift = make(
            "gaussian", normalization, [0.7], unit_rms=True, relative=relative
        )
        field = drift.field(x, y)
        rms = np.sqrt(np.mean(contracts.numpy(field.velocity) ** 2))
        assert rms == pytest.approx(float(field.unit), rel=1e-5)


@each_kernel
@every_normalization
def test_extremes_stay_finite(name, normalization):
    drift = make(name, normalization, [1e-6, 1.0, 1e6])
    plain = make(
        name, normalization, [1e-6, 1.0, 1e6], relative=False, unit_rms=False
    )
    x, y = draw((2, 5, 3), (2, 7, 3))
    far, place = np.float32(1e6), x[:, :1]
    for samples, data in (
        (x, y + far),
        (x * far, y * far),
        (np.repeat(place, 5, axis=1), np.repeat(place, 7, axis=1)),
    ):
        for each in (drift, plain):
            for part in each.field(samples, data):
                assert np.all(np.isfinite(contracts.numpy(part)))


@every_normalization
@pytest.mark.parametrize("self_interaction", ["excluded", "included"])
def test_lone_points_stay_finite(normalization, self_interaction):
    x, y = draw((1, 1, 3), (1, 7, 3))
    drift = make("laplacian", normalization, self_interaction=self_interaction)
    field = contracts.in_one_program(drift.field)
    cases = ((x, y), (x, x), (x, x + 1))
    for samples, data in cases if self_interaction == "excluded" else cases[1:]:
        for part in field(samples, data):
            assert np.all(np.isfinite(contracts.numpy(part)))


def test_a_lone_sample_feels_the_positives_only():
    x, y = np.array([[1.0]]), np.array([[3.0], [3.0]])
    for normalization, expected in (("row", 2), ("dual", 0)):
        drift = contracts.in_one_program(make("laplacian", normalization))
        assert contracts.numpy(drift(x, y)).item() == expected


def test_all_weights_zero_exert_no_force():
    x, y = draw((4, 2), (5, 2))
    for normalization in ("row", "dual"):
        drift = contracts.in_one_program(make("laplacian", normalization))
        velocity = drift(
            x,
            y,
            y,
            positive_weights=np.zeros(5),
            negative_weights=np.zeros(5),
        )
        np.testing.assert_array_equal(contracts.numpy(velocity), 0)


@each_normalization
def test_no_unconditional_points_are_none(normalization):
    x, y = draw((4, 2), (5, 2))
    drift = contracts.in_one_program(make("laplacian", normalization))
    with_none = drift(x, y, unconditional=np.zeros((0, 2)))
    np.testing.assert_array_equal(
        contracts.numpy(with_none), contracts.numpy(drift(x, y))
    )


def test_sees_a_new_bandwidth():
    x, y = draw((2, 5, 3), (2, 7, 3))
    drift = make("gaussian", "row", 2.0)
    before = contracts.numpy(drift(x, y))
    drift.bandwidth.assign(0.3)
    after = contracts.numpy(drift(x, y))
    assert np.abs(after - before).max() > 0.1
    np.testing.assert_array_equal(
        after, contracts.numpy(make("gaussian", "row", 0.3)(x, y))
    )


def test_regression_onto_the_moved_samples_has_the_gradient_of_the_drift():
    x, y = draw((2, 5, 3), (2, 7, 3))
    drift = make("laplacian", "row")

    def loss(samples):
        frozen = ops.stop_gradient(samples)
        goal = frozen + 0.5 * ops.stop_gradient(drift(frozen, y))
        return ops.mean(ops.square(samples - goal))

    expected = -2 * 0.5 * contracts.numpy(drift(x, y)) / x.size
    np.testing.assert_allclose(contracts.gradient(loss, x), expected, atol=1e-6)


@every_normalization
def test_gradients_through_the_field_stay_finite(normalization):
    x, y = draw((2, 5, 3), (2, 7, 3))
    x[:, 1] = x[:, 0]  # coincident samples
    y[:, 2] = x[:, 3]
    drift = make("laplacian", normalization)

    def total(samples):
        weights = np.array([[1, 0, 1, 1, 2, 1, 1.0]] * 2)
        return ops.sum(ops.square(drift(samples, y, positive_weights=weights)))

    assert np.all(np.isfinite(contracts.gradient(total, x)))


def test_normalization_is_one_of_four():
    with pytest.raises(
        ValueError,
        match=r"`normalization` must be one of 'row', 'dual', 'sharp', "
        r"'score'. Did you mean 'dual'\?.*normalization='duel'",
    ):
        KernelDrift(normalization="duel")


def test_kernel_is_checked():
    with pytest.raises(ValueError, match=r"Unknown kernel 'laplace'.*laplacia"):
        KernelDrift("laplace")
    with pytest.raises(TypeError, match=r"`kernel` is a .*Kernel`.*kernel=0.5"):
        KernelDrift(0.5)


def test_self_interaction_is_checked():
    with pytest.raises(ValueError, match=r"`self_interaction` must be one of"):
        KernelDrift(self_interaction="none")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalization": "dual", "relative": False},
        {"normalization": "dual", "unit_rms": False},
        {"normalization": "dual", "self_interaction": "included"},
        {"normalization": "dual", "bias_correction": True},
        {"normalization": "dual", "guidance": "velocity"},
    ],
)
def test_released_parity_is_the_whole_recipe(options):
    name = list(options)[-1] if options else "normalization"
    received = f"{name}={options.get(name, 'row')!r}"
    with pytest.raises(
        ValueError,
        match=rf"`released_parity=True` stands for.*Received: .*{received}",
    ):
        KernelDrift(released_parity=True, **options)


@pytest.mark.parametrize("block_size", [None, 1])
def test_computes_in_float32_whatever_the_default_is(block_size):
    x, y, _, _ = draw(*SIZES)
    drift = make("laplacian", "dual", block_size=block_size)
    expected = contracts.numpy(drift(x, y))
    floatx = keras.config.floatx()
    try:
        for other in ("float16", "float64"):
            keras.config.set_floatx(other)
            found = contracts.numpy(
                make("laplacian", "dual", block_size=block_size)(x, y)
            )
            assert found.dtype == "float32"
            np.testing.assert_allclose(found, expected, atol=1e-5)
    finally:
        keras.config.set_floatx(floatx)


@pytest.mark.parametrize("block_size", [None, 2])
@each_normalization
def test_gradients_through_the_field(normalization, block_size):
    """Against finite differences of the field itself, all at once."""
    x, y, _, _ = draw(*SIZES)
    drift = make(
        "gaussian", normalization, block_size=block_size, unit_rms=False
    )

    def length(x):
        return ops.sum(ops.square(drift(x, y)))

    found = contracts.gradient(length, x)
    direction = draw(x.shape, seed=5)[0]
    length = contracts.in_one_program(length)
    ends = [float(length(x + step * direction)) for step in (-1e-2, 1e-2)]
    assert np.sum(found * direction) == pytest.approx(
        (ends[1] - ends[0]) / 2e-2, rel=2e-2
    )


def test_a_unit_force_keeps_its_direction_however_near_the_neighbour():
    """Laplacian scores are unit vectors; far from the origin they stay so."""
    x = np.array([[10.0, 10.0], [-10.0, -10.0]])
    near = x + 2.0**-12 * np.array([0.6, 0.8])
    drift = KernelDrift(
        kernels.Laplacian(1.0), "score", self_interaction="independent"
    )
    far = np.full((1, 2), 1e6)  # feels like nothing, in the same direction
    found = contracts.numpy(drift(x, near, far))
    there = far - x
    there /= np.linalg.norm(there, axis=1, keepdims=True)
    steps = (near.astype("float32") - x.astype("float32")).astype("float64")
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    np.testing.assert_allclose(found, steps - there, atol=2e-3)
