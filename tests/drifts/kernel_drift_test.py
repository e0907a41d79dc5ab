import re

import keras
import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import kernels
from keras_drift.drifts import KernelDrift
from keras_drift.drifts import normalizations
from kernel_drift_by_hand import BANDWIDTHS
from kernel_drift_by_hand import KERNELS
from kernel_drift_by_hand import SIZES
from kernel_drift_by_hand import WEIGHTS
from kernel_drift_by_hand import draw
from kernel_drift_by_hand import each_kernel
from kernel_drift_by_hand import each_normalization
from kernel_drift_by_hand import every_normalization
from kernel_drift_by_hand import make
from kernel_drift_by_hand import profile_of
from kernel_drift_by_hand import velocity_by_hand

# For programs that take seconds to compile, each bandwidth a part of it.
FEW_BANDWIDTHS = BANDWIDTHS[1:]


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
        {"normalization": "official_dual"},
        {"normalization": normalizations.Dual(bias_correction=True)},
        {"normalization": "sharp", "relative": False},
        {
            "normalization": normalizations.Score(bias_correction=True),
            "relative": False,
            "guidance_mode": "velocity",
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
        compiles=options["normalization"] == "official_dual",
    )


def test_runs_inside_of_a_program_of_any_backend():
    x, y, z, _ = draw(*SIZES)
    drift = make("laplacian", "dual")
    found = contracts.compiled(drift, x, y, z, jit_compile="auto")
    expected = contracts.numpy(drift(x, y, z))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


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
    contracts.assert_close(contracts.numpy(found), expected, tolerance=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
@each_normalization
def test_blocks_run_inside_of_a_program(normalization, jit_compile):
    if contracts.BACKEND == "torch" and jit_compile:
        pytest.skip("PyTorch compiles nothing here")
    x, y, z, _ = draw(*SIZES)
    whole = make("gaussian", normalization, FEW_BANDWIDTHS)
    cut = make("gaussian", normalization, FEW_BANDWIDTHS, block_size=(2, 3))
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
    contracts.assert_close(
        contracts.numpy(field.velocity), velocity, tolerance=3e-5
    )
    np.testing.assert_allclose(contracts.numpy(field.norm), norm, rtol=3e-5)


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
        assert rms == pytest.approx(float(field.length_scale), rel=1e-5)


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
    drift = make("laplacian", normalization, FEW_BANDWIDTHS)

    def total(samples):
        weights = np.array([[1, 0, 1, 1, 2, 1, 1.0]] * 2)
        return ops.sum(ops.square(drift(samples, y, positive_weights=weights)))

    assert np.all(np.isfinite(contracts.gradient(total, x)))


def test_normalization_is_a_name_or_an_object():
    with pytest.raises(
        ValueError,
        match=r"Unknown normalization 'duel'. Did you mean 'dual'\? Known "
        r"names: dual, official_dual, row, score, sharp",
    ):
        KernelDrift(normalization="duel")
    with pytest.raises(TypeError, match=r"`normalization` is a .*=0.5"):
        KernelDrift(normalization=0.5)
    with pytest.raises(TypeError, match="bias_correction"):
        normalizations.OfficialDual(bias_correction=True)
    with pytest.raises(TypeError, match="outer_smoothing"):
        normalizations.Dual(outer_smoothing=4)


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
        {"relative": False},
        {"unit_rms": False},
        {"self_interaction": "included"},
        {"guidance_mode": "velocity"},
        {"block_size": 8},
    ],
)
def test_official_normalization_is_the_whole_recipe(options):
    ((name, value),) = options.items()
    value = (8, 8) if name == "block_size" else value
    received = re.escape(f"{name}={value!r}")
    with pytest.raises(
        ValueError,
        match=rf"`OfficialDual` stands for.*Received: .*{received}",
    ):
        KernelDrift(normalization="official_dual", **options)


@pytest.mark.parametrize("block_size", [None, 3])
def test_computes_in_float32_whatever_the_default_is(block_size):
    x, y, _, _ = draw(*SIZES)

    def velocity():
        drift = make("laplacian", "dual", block_size=block_size)
        return contracts.numpy(contracts.in_one_program(drift)(x, y))

    expected = velocity()
    floatx = keras.config.floatx()
    try:
        for other in ("float16", "float64"):
            keras.config.set_floatx(other)
            found = velocity()
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
        "gaussian",
        normalization,
        FEW_BANDWIDTHS,
        block_size=block_size,
        unit_rms=False,
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


def test_a_unit_force_keeps_its_direction_however_near_the_neighbor():
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


@pytest.mark.parametrize("dim", [2, 24])
def test_a_feature_that_does_not_vary_has_no_velocity(dim):
    """There is no length to be relative to: not NaN, as 0 / 0 is."""
    drift = KernelDrift(kernels.Laplacian([0.2, 0.7]), "dual")
    points = np.full((2, 4, dim), 7.3, "float32")
    found = contracts.in_one_program(drift.field)(points, points[:, :3])
    np.testing.assert_array_equal(contracts.numpy(found.velocity), 0.0)
    assert float(found.length_scale) > 0.0
