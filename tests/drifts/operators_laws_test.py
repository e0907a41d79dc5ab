"""What must be true of the field of every operator (papers, 0.2 and 0.5)."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import DriftModel
from keras_drift import datasets
from keras_drift import drifts
from keras_drift import generators
from keras_drift import kernels

assert_close = functools.partial(contracts.assert_close, tolerance=3e-5)

# Not 1.0: a neutral value hides a multiplication written for a division.
WIDTHS = np.array([0.7, 2.0])


def gaussian(scale):
    return kernels.Gaussian(scale * WIDTHS)


# From the scale of lengths and more arguments to a drift of that scale.
OPERATORS = {
    "mmd": lambda scale, **kw: drifts.MMDDrift(gaussian(scale), **kw),
    "energy": lambda scale, **kw: drifts.EnergyDistanceDrift(**kw),
    "mixture": lambda scale, **kw: drifts.FDivergenceDrift(
        {"kl_pq": 0.25, "chi2": 0.75}, gaussian(scale), **kw
    ),
    "sinkhorn": lambda scale, **kw: drifts.SinkhornDrift(
        scale * WIDTHS,
        num_steps=3,
        **{"self_interaction": "excluded", **kw},
    ),
}
# Operators on other drifts.
WRAPPERS = {
    "sum": lambda: drifts.Sum(
        [drifts.MMDDrift(gaussian(1.0)), drifts.EnergyDistanceDrift()],
        [0.5, 2.0],
    ),
    "lookahead": lambda: drifts.Lookahead(
        drifts.KernelDrift(gaussian(1.0)), 1, 0.5
    ),
}

each_operator = pytest.mark.parametrize("name", OPERATORS)
each_of_all = pytest.mark.parametrize("name", [*OPERATORS, *WRAPPERS])


def make(name):
    return WRAPPERS[name]() if name in WRAPPERS else OPERATORS[name](1.0)


@functools.cache  # of programs: a test compiles what no other has
def program(name, scale, options):
    return contracts.in_one_program(OPERATORS[name](scale, **dict(options)))


def field(name, scale=1.0, **options):
    function = program(name, scale, tuple(options.items()))
    return lambda *args, **kw: contracts.numpy(function(*args, **kw))


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(2, size, 3)) for size in (5, 7, 7)]


@each_of_all
def test_contract(name):
    config = make(name).get_config()
    contracts.check_drift(
        type(make(name)),
        {key: config[key] for key in config if key not in ("name", "dtype")},
        (2, 5, 3),
        (2, 7, 3),
        (2, 6, 3),
        groups_independent=name not in ("energy", "sum"),
        compiles=name in ("mixture", "lookahead"),
    )


@each_operator
def test_moves_with_rigid_motions_and_scales_with_lengths(clouds, name):
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    moved = [3 * cloud @ rotation + [2.0, -1.0, 0.5] for cloud in clouds]
    expected = 3 * field(name)(*clouds) @ rotation
    assert_close(field(name, 3.0)(*moved), expected, tolerance=1e-4)


@each_operator
def test_relative_bandwidths_need_no_rescaling(clouds, name):
    velocity = field(name, relative=True)
    larger = [10 * cloud for cloud in clouds]
    assert_close(velocity(*larger), 10 * velocity(*clouds), tolerance=1e-4)


@each_operator
def test_rests_where_the_positives_are_the_negatives(clouds, name):
    x, positives, _ = clouds
    velocity = field(name)
    found = velocity(x, positives, positives)
    np.testing.assert_allclose(found, 0, atol=1e-6)


@pytest.mark.parametrize("name", ["mmd", "energy"])
def test_turns_round_when_the_roles_are_swapped(clouds, name):
    x, positives, negatives = clouds
    velocity = field(name)
    assert_close(
        velocity(x, positives, negatives), -velocity(x, negatives, positives)
    )


@each_operator
def test_an_integer_weight_counts_repetitions(clouds, name):
    velocity = field(name)
    x, positives, negatives = clouds
    given = {
        "positives": positives,
        "negatives": negatives,
        "unconditional": negatives[:, ::-1] + 0.5,
    }
    weights, repeated = {}, {}
    for each, cloud in given.items():
        counts = np.array([2, 1, 0, 3, 0, 0, 1])[: cloud.shape[1]]
        weights[each.removesuffix("s") + "_weights"] = np.stack([counts] * 2)
        repeated[each] = np.repeat(cloud, counts, axis=1)
    assert_close(velocity(x, **given, **weights), velocity(x, **repeated))


# Transport binds all samples together.
@pytest.mark.parametrize("name", [n for n in OPERATORS if n != "sinkhorn"])
def test_excluded_samples_have_no_weight_in_their_own_mean(clouds, name):
    x, positives, _ = clouds
    # As if each sample came twice, and one of the pair were missing.
    weights = np.array([[2.0, 1, 1, 1, 0]] * 2)
    found = field(name, relative=False)(x, positives, negative_weights=weights)
    options = {"negative_weights": weights[:, 1:]}
    negatives = x[:, 1:]
    alone = field(name, relative=False)(
        x[:, :1], positives, negatives, **options
    )
    assert_close(found[:, :1], alone)


@each_operator
def test_blocks_do_not_change_the_result(clouds, name):
    x, positives, _ = clouds
    blocks = field(name, block_size=(2, 3))(x, positives)
    assert_close(blocks, field(name)(x, positives))


@each_operator
def test_unit_fields_have_unit_size(clouds, name):
    drift = OPERATORS[name](1.0, unit_rms=True)
    found = contracts.in_one_program(drift.field)(*clouds)
    velocity = contracts.numpy(found.velocity / found.length_scale)
    bandwidths = contracts.numpy(found.norm).size
    rms = np.sqrt(np.mean(velocity**2))
    assert 0 < rms <= bandwidths * (1 + 1e-4)
    if bandwidths == 1:
        assert rms == pytest.approx(1, rel=1e-4)


@each_operator
def test_stays_finite_at_extremes(name):
    far = np.array(
        [[[1e6, 0, 0], [1e6, 0, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]]]
    )
    positives = np.zeros((1, 7, 3))
    assert np.all(np.isfinite(field(name)(far, positives)))
    # A lone sample on a lone positive has nowhere to go.
    lone = np.ones((1, 1, 3))
    np.testing.assert_array_equal(field(name)(lone, lone), 0)


@each_operator
def test_no_weight_at_all_means_no_force(clouds, name):
    x, positives, _ = clouds
    nothing = {
        "positive_weights": np.zeros((2, 7)),
        "negative_weights": np.zeros((2, 5)),
    }
    found = field(name)(x, positives, **nothing)
    np.testing.assert_array_equal(found, 0)


@each_operator
def test_many_coordinates(name):
    """Distances come from a matrix product there."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 5, 12))
    positives = rng.normal(size=(1, 7, 12)) + 0.3
    positives[0, 2] = x[0, 1]
    rotation, _ = np.linalg.qr(rng.normal(size=(12, 12)))
    velocity = field(name, 2.0)
    found = velocity(x @ rotation, positives @ rotation)
    assert_close(found, velocity(x, positives) @ rotation, tolerance=1e-3)


@each_of_all
def test_trains_a_model(name):
    data = datasets.two_moons(64, seed=0)
    generator = generators.MLP(2, hidden_dims=(8,))
    model = DriftModel(generator, make(name), seed=0)
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit(data, batch_size=32, verbose=0)
    assert np.isfinite(history.history["loss"][0])
    assert history.history["drift_norm"][0] > 0


@pytest.mark.parametrize("name", ["energy", "mixture"])
def test_gradients_through_the_field_stay_finite(name):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 7, 3))
    x[:, 1] = x[:, 0]  # coincident samples
    y[:, 2] = x[:, 3]
    drift = OPERATORS[name](1.0)

    def total(samples):
        return ops.sum(ops.square(drift(samples, y)))

    assert np.all(np.isfinite(contracts.gradient(total, x)))
