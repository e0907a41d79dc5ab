"""Fields by Gram matrices, against the same fields by coordinates."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import drifts
from keras_drift import kernels
from keras_drift.drifts import gram_field
from keras_drift.drifts import normalizations
from keras_drift.ops import distances_of_gram
from keras_drift.training import side_by_side

GROUPS, SAMPLES, OTHERS, DATA = 2, 4, 3, 5
DIM = 24
TOKENS = (1, 1, 3)
BANDWIDTHS = (0.05, 0.2, 0.7)


def draw(count, seed, tokens=TOKENS, dim=DIM):
    """Features of `count` points per group, each with a scale of its own."""
    rng = np.random.default_rng(seed)
    return [
        (
            3.0
            + index
            + (1.0 + index) * rng.normal(size=(GROUPS * count, t, dim))
        ).astype("float32")
        for index, t in enumerate(tokens)
    ]


def sets(weights, tokens=TOKENS):
    found = {
        "x": (SAMPLES, draw(SAMPLES, 0, tokens)),
        "positives": (DATA, draw(DATA, 1, tokens)),
    }
    if weights is not None:
        found["unconditional"] = (OTHERS, draw(OTHERS, 2, tokens))
    return found


def make(normalization="dual", **options):
    kernel = kernels.Laplacian(BANDWIDTHS)
    return drifts.KernelDrift(kernel, normalization, **options)


def by_gram(drift, point_sets, weights=None):
    counts = {key: count for key, (count, _) in point_sets.items()}

    def function(features, weights):
        point_sets = {key: (counts[key], features[key]) for key in counts}
        points = gram_field.gram_points(
            **point_sets, unconditional_weights=weights
        )
        assert gram_field.suits(drift, points, "local")
        field, squares = gram_field.gram_field(drift, points, "local")
        return field.velocity, field.length_scale, field.norm, squares

    return contracts.in_one_program(function)(*tensors(point_sets, weights))


def by_coordinates(drift, point_sets, weights=None):
    samples = point_sets["x"][1]
    tokens = [each.shape[1] for each in samples]
    counts = {key: count for key, (count, _) in point_sets.items()}

    def function(features, weights):
        joined = {
            key: side_by_side.join(features[key], GROUPS, counts[key])
            for key in counts
        }
        if weights is not None:
            weights = ops.repeat(weights, sum(tokens), axis=0)
        field = drift.field(
            **joined,
            unconditional_weights=weights,
            tokens=tokens if len(tokens) > 1 else None,
        )
        velocity = side_by_side.split(field.velocity, features["x"])
        return velocity, field.length_scale, field.norm

    return contracts.in_one_program(function)(*tensors(point_sets, weights))


def tensors(point_sets, weights):
    return (
        {
            key: [ops.convert_to_tensor(each, "float32") for each in features]
            for key, (_, features) in point_sets.items()
        },
        None if weights is None else ops.convert_to_tensor(weights, "float32"),
    )


WEIGHTS = np.array([[0.7, 0.7, 0.7], [0.0, 2.0, 0.3]], "float32")


def by_hand(point_sets, weights, interaction):
    """The fields of Algorithm 2 with weights, in float64, token by token."""
    velocities, lengths, norms = [], [], []
    for number, samples in enumerate(point_sets["x"][1]):
        each = [
            features[number].astype("float64").reshape(GROUPS, count, -1, DIM)
            for count, features in point_sets.values()
        ]
        x, data, others = (*each, each[0][:, :0])[:3]
        points = np.concatenate([x, others, data], axis=1)
        counts = np.ones((GROUPS, SAMPLES, points.shape[1]))
        if weights is not None:
            counts[:, :, SAMPLES : SAMPLES + OTHERS] = weights[:, None]
        if interaction == "excluded":
            counts[:, range(SAMPLES), range(SAMPLES)] = 0.0
        counts = counts[..., None]
        distances = np.linalg.norm(x[:, :, None] - points[:, None], axis=-1)
        mean = np.sum(counts * distances) / np.sum(
            counts * np.ones_like(distances)
        )
        total = 0.0
        for bandwidth in BANDWIDTHS:
            k = np.exp(-distances / (bandwidth * mean)) * (counts > 0)
            rows = np.sum(counts * k, axis=2, keepdims=True)
            columns = np.maximum(np.sum(k, axis=1, keepdims=True), 1e-300)
            a = counts * k / np.sqrt(rows * columns)
            here, there = a[:, :, : -data.shape[1]], a[:, :, -data.shape[1] :]
            mass = here.sum(2, keepdims=True), there.sum(2, keepdims=True)
            a = np.concatenate([-here * mass[1], there * mass[0]], axis=2)
            field = np.einsum("gijt,gjtd->gitd", a, points)
            root = np.sqrt(np.mean(field**2))
            norms.append(root * DIM**0.5)
            total = total + field * mean / DIM**0.5 / root
        velocities.append(total.reshape(samples.shape))
        lengths.append(mean / DIM**0.5)
    return velocities, lengths, np.reshape(norms, (-1, len(BANDWIDTHS)))


def assert_alike(found, expected, tolerance):
    velocity, *others = found
    for one, other in zip(velocity, expected[0], strict=True):
        contracts.assert_close(
            one, np.asarray(contracts.numpy(other)), tolerance
        )
    for one, other in zip(others, expected[1:], strict=True):
        other = contracts.numpy(other)
        one = np.reshape(contracts.numpy(one), other.shape)
        contracts.assert_close(one, other, tolerance)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("tokens", [TOKENS, (2,)])
@pytest.mark.parametrize("interaction", ["excluded", "included"])
def test_is_the_field_by_hand(weights, tokens, interaction):
    point_sets = sets(weights, tokens)
    found = by_gram(make(self_interaction=interaction), point_sets, weights)
    expected = by_hand(point_sets, weights, interaction)
    means = [np.mean(each**2) for each in expected[0]]
    assert_alike(found, (*expected, np.array(means)), 1e-5)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_is_the_field_by_coordinates(weights):
    drift = make()
    point_sets = sets(weights)
    found = by_gram(drift, point_sets, weights)
    assert_alike(found[:3], by_coordinates(drift, point_sets, weights), 1e-5)


def in_parts_of(monkeypatch, numbers):
    """Parts of a field have so many numbers of a sample at most."""
    monkeypatch.setattr(gram_field, "_most_numbers", lambda total: numbers)


def test_features_are_compared_in_parts(monkeypatch):
    """However their tokens are partitioned, the field is the same."""
    point_sets, found = sets(WEIGHTS), []
    for numbers, parts in ((2**14, 1), (200, 2), (2 * DIM, 4), (1, 5)):
        in_parts_of(monkeypatch, numbers)
        points = gram_field.gram_points(
            **point_sets, unconditional_weights=WEIGHTS
        )
        assert len(points.parts()) == parts
        found.append(by_gram(make(), point_sets, WEIGHTS))
    for other in found[1:]:
        for one, two in zip(found[0][0], other[0], strict=True):
            contracts.assert_close(one, contracts.numpy(two), 1e-6)


@pytest.mark.skipif(
    contracts.BACKEND != "jax", reason="asks the compiler of JAX"
)
def test_few_parts_are_in_memory_at_once(monkeypatch):
    """A compiler may put all points side by side before it multiplies them."""
    import jax

    in_parts_of(monkeypatch, 4 * 256)
    drift, features = make(), [draw(4, seed, (64,), 256) for seed in range(2)]

    def velocity(samples, positives):
        points = gram_field.gram_points((4, samples), (4, positives))
        assert len(points.parts()) == 16
        return gram_field.gram_field(drift, points, "local")[0].velocity

    program = jax.jit(velocity).lower(*features).compile()
    all_points = sum(each.nbytes for (each,) in features)
    assert program.memory_analysis().temp_size_in_bytes < 0.75 * all_points


def test_a_recipe_is_cut_into_a_bounded_number_of_parts():
    """Whatever its size: each part has programs of its own to compile."""
    tokens, dims = [1, 1, 4, 64, 1024, 4096], [256, 512, 256, 1024, 256, 512]
    for scale in (1, 8):
        features = [
            np.broadcast_to(np.float32(0.0), (8, count, dim * scale))
            for count, dim in zip(tokens, dims, strict=True)
        ]
        points = gram_field.gram_points((4, features), (4, features))
        parts = points.parts()
        if contracts.BACKEND != "torch":
            assert len(parts) <= 2 * gram_field._FEW_PARTS + len(features)
        seen = [[] for _ in features]
        for part in parts:
            assert len({features[each].shape[-1] for each, _, _ in part}) == 1
            for feature, start, end in part:
                seen[feature] += range(start, end)
        assert seen == [list(range(count)) for count in tokens]


def test_features_of_other_dimensions_share_the_field():
    """Each one's own is what it is alone."""
    dims, drift = (DIM, 2 * DIM, DIM), make()
    point_sets = {
        key: (
            count,
            [
                draw(count, seed + 10 * index, (t,), dim)[0] * (1.0 + index)
                for index, (t, dim) in enumerate(zip(TOKENS, dims, strict=True))
            ],
        )
        for seed, (key, count) in enumerate(
            {"x": SAMPLES, "positives": DATA, "unconditional": OTHERS}.items()
        )
    }
    velocity, *others = by_gram(drift, point_sets, WEIGHTS)
    for number in range(len(dims)):
        alone = {
            key: (count, features[number : number + 1])
            for key, (count, features) in point_sets.items()
        }
        expected = by_coordinates(drift, alone, WEIGHTS)
        found = [velocity[number : number + 1]]
        found += [each[number] for each in others[:2]]
        assert_alike(found, expected, 1e-5)
        contracts.assert_close(
            others[2][number],
            np.mean(contracts.numpy(expected[0][0]) ** 2),
            1e-5,
        )


@pytest.mark.parametrize("far", range(SAMPLES))
def test_a_sample_far_from_the_others_costs_them_no_precision(far):
    """Whichever of them it is."""
    x = draw(SAMPLES, 0, (1,))[0]
    x.reshape(GROUPS, SAMPLES, 1, DIM)[:, far] += 1000.0
    points = gram_field.gram_points((SAMPLES, [x]), (SAMPLES, [x]))
    distances = distances_of_gram(gram_field._gram(points), SAMPLES)
    x = x.reshape(GROUPS, SAMPLES, DIM).astype("float64")
    expected = np.linalg.norm(x[:, :, None] - x[:, None], axis=-1)
    others = np.ix_(range(GROUPS), *[np.delete(range(SAMPLES), far)] * 2)
    found = contracts.numpy(distances)[..., :SAMPLES]
    contracts.assert_close(found[others], expected[others], 1e-5)


def test_points_of_weight_zero_are_absent():
    """Whatever their place holds."""
    point_sets = sets(WEIGHTS)
    expected = by_gram(make(), point_sets, WEIGHTS)
    for features in point_sets["unconditional"][1]:
        features[OTHERS] = np.nan
    found = by_gram(make(), point_sets, WEIGHTS)
    for one, two in zip(found[0], expected[0], strict=True):
        np.testing.assert_array_equal(
            contracts.numpy(one), contracts.numpy(two)
        )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_feature_that_is_not_finite_leaves_the_others(monkeypatch, value):
    """Parts wait for each other, and must not learn what they waited for."""
    in_parts_of(monkeypatch, 1)
    expected = by_gram(make(), sets(WEIGHTS), WEIGHTS)
    point_sets = sets(WEIGHTS)
    point_sets["x"][1][1][:] = value
    found = by_gram(make(), point_sets, WEIGHTS)
    for number in (0, 2):
        contracts.assert_close(
            found[0][number], contracts.numpy(expected[0][number]), 1e-6
        )
    assert not np.any(np.isfinite(contracts.numpy(found[0][1])))


def test_rounding_is_not_amplified_at_rest():
    """Where samples and data are the same points, there is no velocity."""
    samples = draw(SAMPLES, 0)
    point_sets = {"x": (SAMPLES, samples), "positives": (SAMPLES, samples)}
    velocity, length, _, squares = by_gram(
        make(self_interaction="included"), point_sets
    )
    assert np.all(contracts.numpy(squares) >= 0.0)
    for number, each in enumerate(velocity):
        unit = float(contracts.numpy(length)[number])
        assert np.max(np.abs(contracts.numpy(each))) < 1e-2 * unit


def test_one_point_everywhere():
    """Features that do not vary have no velocity, and nothing is NaN."""
    point_sets = {
        key: (count, [np.ones_like(each) for each in features])
        for key, (count, features) in sets(WEIGHTS).items()
    }
    velocity, *others = by_gram(make(), point_sets, WEIGHTS)
    for each in velocity:
        np.testing.assert_array_equal(contracts.numpy(each), 0.0)
    for each in others:
        assert np.all(np.isfinite(contracts.numpy(each)))


def in_a_graph(function):
    """Inside of `tf.function`, on TensorFlow."""
    if contracts.BACKEND != "tensorflow":
        return function()
    import tensorflow as tf

    return tf.function(function, autograph=False)()


@pytest.mark.parametrize("floatx", ["bfloat16", "float16", "float64"])
def test_works_with_any_floatx(floatx):
    expected = by_gram(make(), sets(WEIGHTS), WEIGHTS)
    before = keras.config.floatx()
    keras.config.set_floatx(floatx)
    try:
        drift = make()
        found = in_a_graph(lambda: by_gram(drift, sets(WEIGHTS), WEIGHTS))
    finally:
        keras.config.set_floatx(before)
    for one, two in zip(found[0], expected[0], strict=True):
        contracts.assert_close(one, contracts.numpy(two), 1e-6)


class OwnDrift(drifts.KernelDrift):
    """One whose `velocities` may be the user's."""


class OwnDual(normalizations.Dual):
    """A normalization that may be the user's."""


@pytest.mark.parametrize(
    "drift",
    [
        OwnDrift(normalization="dual"),
        drifts.KernelDrift(normalization=OwnDual()),
        make(normalizations.Dual(bias_correction=True)),
        make("row", relative=True),
        make("official_dual"),
        make(relative=False),
        make(block_size=2),
        make(self_interaction="independent"),
        drifts.MMDDrift(relative=True),
        drifts.KernelDrift(kernels.SphericalLogarithmic(), "dual"),
    ],
    ids=lambda drift: type(drift).__name__,
)
def test_other_drifts_are_computed_by_coordinates(drift):
    points = gram_field.gram_points(**sets(None))
    assert gram_field.suits(make(), points, "local")
    assert not gram_field.suits(drift, points, "local")


def test_other_points_are_compared_by_coordinates():
    suits = functools.partial(gram_field.suits, make(), placement="local")
    few = {
        key: (count, [each[..., :8] for each in features])
        for key, (count, features) in sets(None).items()
    }
    assert not suits(gram_field.gram_points(**few))
    given = sets(None)
    assert gram_field.gram_points(**given, negatives=given["x"]) is None
    assert gram_field.gram_points(**given, guidance_scale=2.0) is None
    unknown = {**given, "x": (None, given["x"][1])}
    assert not suits(gram_field.gram_points(**unknown))
