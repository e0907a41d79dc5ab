import keras
import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift.drifts import Drift
from keras_drift.drifts import KernelDrift
from keras_drift.drifts import PairwiseDrift
from keras_drift.drifts import VelocityDrift
from keras_drift.kernels import Gaussian
from keras_drift.kernels import Laplacian


@keras.saving.register_keras_serializable("keras_drift_tests")
class ToTheMean(VelocityDrift):
    """The simplest drift: two fields, one and three steps to the mean."""

    def velocities(self, x, positives, negatives, length_scale):
        del negatives, length_scale
        step = ops.mean(positives.points, axis=-2, keepdims=True) - x
        return [step, 3 * step]


X = np.array([[0.0, 0.0], [2.0, 0.0]])
DATA = np.array([[4.0, 3.0], [4.0, 1.0], [4.0, 2.0]])
STEPS = np.array([[4.0, 2.0], [2.0, 2.0]])


def test_contract():
    contracts.check_drift(
        ToTheMean,
        {},
        (2, 5, 3),
        (2, 7, 3),
        (2, 6, 3),
        groups_independent=True,
    )


def test_fields_are_averaged():
    velocity = contracts.numpy(ToTheMean()(X, DATA))
    np.testing.assert_allclose(velocity, 2 * STEPS)


def test_unit_fields_are_added():
    velocity = contracts.numpy(ToTheMean(unit_rms=True)(X, DATA))
    rms = np.sqrt(np.mean(STEPS**2))
    np.testing.assert_allclose(velocity, 2 * STEPS / rms, rtol=1e-6)
    np.testing.assert_allclose(np.mean(velocity**2), 2**2, rtol=1e-6)


@pytest.mark.parametrize("unit_rms", [False, True])
def test_norm_is_the_rms_length_of_each_raw_field(unit_rms):
    field = ToTheMean(unit_rms=unit_rms).field(X, DATA)
    length = np.sqrt(np.mean(np.sum(STEPS**2, axis=-1)))
    np.testing.assert_allclose(
        contracts.numpy(field.norm), [length, 3 * length], rtol=1e-6
    )
    assert float(field.length_scale) == 1


def test_a_field_of_rounding_noise_is_not_blown_up():
    drift = ToTheMean(unit_rms=True)
    velocity = contracts.numpy(drift(X[:1], X[:1] + 1e-9))
    assert np.abs(velocity).max() < 1e-2


def test_call_is_the_velocity_of_the_field():
    drift = KernelDrift()
    options = {
        "unconditional": DATA + 1,
        "positive_weights": np.array([1.0, 0.5, 2.0]),
        "negative_weights": np.array([1.0, 3.0]),
        "unconditional_weights": np.array([0.5, 0.5, 0.0]),
    }
    velocity = contracts.in_one_program(drift)(X, DATA, X - 1, **options)
    field = contracts.in_one_program(drift.field)(X, DATA, X - 1, **options)
    np.testing.assert_array_equal(
        contracts.numpy(velocity), contracts.numpy(field.velocity)
    )


def test_mixed_precision_leaves_the_drift_alone():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        drift = KernelDrift()
    finally:
        keras.config.set_dtype_policy("float32")
    x, data = X / 3, DATA / 3  # not numbers of half precision
    velocity = drift(x, data)
    assert keras.backend.standardize_dtype(velocity.dtype) == "float32"
    np.testing.assert_array_equal(
        contracts.numpy(velocity), contracts.numpy(KernelDrift()(x, data))
    )


def test_anneal_sets_the_bandwidth():
    drift = KernelDrift(Laplacian(2.0))
    drift.anneal(0.5)
    assert float(ops.convert_to_numpy(drift.bandwidth)) == 0.5
    assert drift.initial_bandwidth == 2
    np.testing.assert_array_equal(
        contracts.numpy(drift(X, DATA)),
        contracts.numpy(KernelDrift(Laplacian(0.5))(X, DATA)),
    )


def test_anneal_keeps_the_ratios_of_several():
    drift = KernelDrift(Gaussian([0.2, 2.0, 0.5]))
    for largest in (1.0, 0.1, ops.convert_to_tensor(4.0)):
        drift.anneal(largest)
        np.testing.assert_allclose(
            contracts.numpy(drift.bandwidth),
            float(largest) * np.array([0.1, 1.0, 0.25]),
            rtol=1e-6,
        )


def test_a_drift_without_bandwidth_cannot_be_annealed():
    drift = ToTheMean()
    assert drift.bandwidth is None
    assert drift.initial_bandwidth is None
    with pytest.raises(ValueError, match="`ToTheMean` has no bandwidth"):
        drift.anneal(1.0)


def test_a_drift_without_velocities_says_what_to_write():
    for cls, method in (
        (Drift, "compute_field"),
        (VelocityDrift, "velocities"),
        (PairwiseDrift, "velocities"),
    ):
        message = rf"`{cls.__name__}` must write `{method}\("
        with pytest.raises(NotImplementedError, match=message):
            cls().field(X, DATA)


def test_self_interaction_is_one_of_three():
    with pytest.raises(
        ValueError,
        match=r"`self_interaction` must be one of 'excluded', 'included', "
        r"'independent'. Did you mean 'included'\?.*='include'",
    ):
        VelocityDrift(self_interaction="include")


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            {"x": (4,), "positives": (4,)},
            r"`\(n, d\)`.*Flatten.*x.shape=\(4,\), positives.shape=\(4,\)",
        ),
        (
            {"x": (4, 2), "positives": (1, 4, 2)},
            r"all alike.*x.shape=\(4, 2\), positives.shape=\(1, 4, 2\)",
        ),
        (
            {"x": (2, 4, 4, 1), "positives": (2, 4, 4, 1)},
            r"Flatten images first.*x.shape=\(2, 4, 4, 1\)",
        ),
        (
            {"x": (4, 2), "positives": (4, 3)},
            r"last axes must match.*same encoder.*positives.shape=\(4, 3\)",
        ),
        (
            {"x": (4, 2), "positives": (4, 2), "unconditional": (4, 3)},
            r"last axes must match.*unconditional.shape=\(4, 3\)",
        ),
        (
            {"x": (2, 4, 3), "positives": (3, 4, 3)},
            r"number of groups.*x.shape=\(2, 4, 3\), "
            r"positives.shape=\(3, 4, 3\)",
        ),
        (
            {"x": (2, 4, 3), "positives": (2, 4, 3), "negatives": (1, 4, 3)},
            r"number of groups.*negatives.shape=\(1, 4, 3\)",
        ),
        ({"x": (0, 2), "positives": (3, 2)}, r"`x` is empty"),
        ({"x": (3, 2), "positives": (0, 2)}, r"`positives` is empty"),
        (
            {"x": (3, 2), "positives": (3, 2), "negatives": (0, 2)},
            r"`negatives` is empty.*negatives.shape=\(0, 2\)",
        ),
    ],
)
def test_names_the_shapes_that_do_not_fit(shapes, message):
    with pytest.raises(ValueError, match=message):
        Drift().field(**{name: np.zeros(s) for name, s in shapes.items()})


def test_independent_negatives_must_be_given():
    drift = ToTheMean(self_interaction="independent")
    with pytest.raises(
        ValueError,
        match=r"'independent'` the negatives.*must be given. "
        r"Received: negatives=None, x.shape=\(2, 2\)",
    ):
        drift.field(X, DATA)


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("positives", (2,), r"\(3,\)"),
        ("positives", (1, 3), r"\(3,\)"),
        ("negatives", (3,), r"\(2,\)"),
        ("unconditional", (2,), r"\(3,\)"),
    ],
)
def test_names_the_weights_that_do_not_fit(name, shape, expected):
    option = name.removesuffix("s") + "_weights"
    received = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(
        ValueError,
        match=rf"weights of the {name} .*shape {expected}. "
        rf"Received: shape {received}",
    ):
        ToTheMean().field(
            X, DATA, unconditional=DATA, **{option: np.ones(shape)}
        )


def test_earlier_samples_need_to_be_given():
    with pytest.raises(ValueError, match=r"there must be negatives.*=None"):
        ToTheMean().field(X, DATA, negatives_are_samples=True)


def test_weights_need_their_points():
    with pytest.raises(
        ValueError, match=r"`unconditional_weights` without `unconditional`"
    ):
        ToTheMean().field(X, DATA, unconditional_weights=np.ones(3))


def test_weights_of_groups_are_one_row_each():
    with pytest.raises(ValueError, match=r"shape \(1, 3\). Received.*\(3,\)"):
        ToTheMean().field(X[None], DATA[None], positive_weights=np.ones(3))


class Column(PairwiseDrift):
    """A drift that forgets the axis of the samples."""

    def velocities(self, x, positives, negatives, length_scale):
        return [ops.mean(positives.points, axis=1, keepdims=True)]


def test_names_the_shapes_of_velocities_that_do_not_fit():
    with pytest.raises(
        ValueError, match=r"Here \(.*\) = \(1, 2, 2\).*\[\(1, 1, 2\)\] from"
    ):
        Column().field(X, DATA)


# === Guidance of velocities ===


@pytest.mark.parametrize("unit_rms", [False, True])
def test_a_scale_of_one_is_no_guidance(unit_rms):
    drift = KernelDrift(guidance_mode="velocity", unit_rms=unit_rms)
    guided = contracts.in_one_program(drift)(
        X, DATA, unconditional=DATA + 1, guidance_scale=1.0
    )
    np.testing.assert_array_equal(
        contracts.numpy(guided), contracts.numpy(drift(X, DATA))
    )


def test_guidance_adds_the_velocity_away_from_unconditional_data():
    rng = np.random.default_rng(0)
    x, y, z, u = (rng.normal(size=(2, n, 3)) for n in (5, 7, 6, 4))
    weights = rng.uniform(size=(2, 4))
    drift = KernelDrift(Gaussian([0.5, 1.0]), guidance_mode="velocity")
    plain = contracts.numpy(contracts.in_one_program(drift)(x, y, z))
    away = contracts.in_one_program(drift)(x, y, u, negative_weights=weights)
    guided = contracts.in_one_program(drift)
    options = {"unconditional": u, "unconditional_weights": weights}
    for scale in (1.5, np.array([1.0, 4.0])):
        found = guided(x, y, z, guidance_scale=scale, **options)
        share = np.reshape(scale, (-1, 1, 1)) - 1
        np.testing.assert_allclose(
            contracts.numpy(found),
            plain + share * contracts.numpy(away),
            atol=1e-5,
        )


def test_guidance_is_one_of_two():
    with pytest.raises(
        ValueError, match=r"`guidance_mode` must be one of.*'velo'"
    ):
        ToTheMean(guidance_mode="velo")


@pytest.mark.parametrize(
    ("mode", "options", "received"),
    [
        ("velocity", {"guidance_scale": 2.0}, "a scale, no unconditional"),
        ("velocity", {"unconditional": DATA}, "no scale, unconditional"),
        (
            "distribution",
            {"unconditional": DATA, "guidance_scale": 2.0},
            "a drift with guidance_mode='distribution', a scale",
        ),
    ],
)
def test_a_scale_goes_with_unconditional_data(mode, options, received):
    with pytest.raises(ValueError, match=f"go together.*{received}"):
        ToTheMean(guidance_mode=mode).field(X, DATA, **options)


def test_names_the_guidance_scales_that_do_not_fit():
    drift = ToTheMean(guidance_mode="velocity")
    for x, y, expected in (
        (X, DATA, r"\(\)"),
        (X[None], DATA[None], r"\(1,\)"),
    ):
        with pytest.raises(
            ValueError, match=rf"or {expected}. Received: shape \(3,\)"
        ):
            drift.field(x, y, unconditional=y, guidance_scale=np.ones(3))


class Faint(VelocityDrift):
    """A field of one size, however small."""

    def __init__(self, size, floor=None):
        super().__init__(unit_rms=True)
        self.size = size
        if floor is not None:
            self.mean_square_floor = floor

    def velocities(self, x, positives, negatives, length_scale):
        return [self.size * ops.ones_like(x)]


@pytest.mark.parametrize(
    ("size", "floor", "expected"),
    [
        (1e-5, None, 1.0),
        (1e-8, None, 1e-2),  # divided by 1e-6, the root of 1e-12
        (0.0, None, 0.0),
        (1e-3, 1e-8, 1.0),
        (1e-8, 1e-8, 1e-4),
    ],
)
def test_rounding_noise_is_not_amplified_to_unit_size(size, floor, expected):
    x = np.ones((3, 2), "float32")
    velocity = contracts.numpy(Faint(size, floor)(x, x))
    np.testing.assert_allclose(velocity, expected, rtol=1e-5)


def test_the_release_has_floors_of_its_own():
    drift = KernelDrift(normalization="official_dual")
    assert drift.mean_square_floor == 1e-8
    assert drift.length_scale_floor == 1e-3
    assert KernelDrift(normalization="dual").mean_square_floor == 1e-12
