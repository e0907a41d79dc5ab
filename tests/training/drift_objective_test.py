"""The objective of many features: one field for each dimension."""

import functools

import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import drifts
from keras_drift import kernels
from keras_drift.drifts import gram_field
from keras_drift.training import DriftObjective
from keras_drift.training import FeatureDrifts
from keras_drift.training import TrainingBatch
from keras_drift.training.drift_objective import squared_steps

GROUPS, GENERATED, POSITIVES, UNCONDITIONAL = 2, 4, 5, 3
# Tokens and dimension of each feature, in no order.
FORMS = {
    "wide": (2, 12),
    "narrow": (4, 3),
    "wide_mean": (1, 12),
    "narrow_std": (1, 3),
    "narrow_mean": (1, 3),
    "alone": (2, 5),
}


class Given:
    """An encoder whose features are known, in the order it is asked for."""

    def __init__(self, *features):
        self.features = list(features)

    def __call__(self, samples):
        del samples
        return self.features.pop(0)


class CountedDrift(drifts.KernelDrift):
    """Counts its fields, and shares them or not."""

    takes_segments = True

    def __init__(self, shares=True):
        super().__init__(kernels.Laplacian([0.05, 0.5]), "dual")
        self.shares, self.count = shares, 0

    @property
    def shares_fields(self):
        return self.shares

    def compute_field(self, inputs):
        self.count += 1
        return super().compute_field(inputs)


def draw(count, seed):
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(
            size=(GROUPS * count, *form), scale=1.0 + index
        ).astype("float32")
        for index, (name, form) in enumerate(FORMS.items())
    }


def losses(drift, loss_weights=None, features_moved=False):
    """The loss and the targets of features that are given."""
    sets = [
        draw(count, seed)
        for seed, count in enumerate((GENERATED, POSITIVES, UNCONDITIONAL))
    ]
    weights = np.ones((GROUPS, POSITIVES), "float32")
    weights[0, 0], weights[1, 2] = 2.0, 0.0
    batch = TrainingBatch(
        inputs={},
        positives=np.zeros((GROUPS, POSITIVES, 1), "float32"),
        unconditional=np.zeros((GROUPS, UNCONDITIONAL, 1), "float32"),
        guidance_scale=ops.convert_to_tensor([1.0, 2.0]),
        weights=ops.convert_to_tensor(weights),
        step_size=0.5,
    )

    def function(generated, positives, unconditional):
        objective = DriftObjective(
            Given(positives, unconditional),
            drift,
            loss_weights,
            num_generated=GENERATED,
        )
        features = {
            name: ops.convert_to_tensor(value)
            for name, value in generated.items()
        }
        targets = objective.targets(features, batch)
        return objective.loss(features, targets, features_moved), targets

    return contracts.in_one_program(function)(*sets)


@pytest.fixture(scope="module")
def one_by_one():
    drift = CountedDrift(shares=False)
    loss, targets = losses(drift)
    assert drift.count == len(targets) == len(FORMS)
    return float(loss), targets


def test_there_are_as_many_fields_as_dimensions(one_by_one):
    expected, each = one_by_one
    drift = CountedDrift()
    loss, targets = losses(drift)
    dims = {dim for _, dim in FORMS.values()}
    assert drift.count == len(targets) == len(dims)
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    for names in (
        ("narrow_mean", "narrow_std", "narrow"),
        ("wide_mean", "wide"),
        ("alone",),
    ):
        for key in ("length_scale", "norm"):
            contracts.assert_close(
                contracts.numpy(getattr(targets[names], key)),
                np.concatenate(
                    [contracts.numpy(getattr(each[n,], key)) for n in names]
                ),
                1e-6,
            )


def test_weights_count_each_feature_and_zero_computes_none(one_by_one):
    drift = CountedDrift()
    loss, targets = losses(drift, {"alone": 0.0, "*_mean": 3.0})
    assert drift.count == len(targets) == 2
    parts = {
        name: float(losses(drift, {name: 1.0, "*": 0.0})[0]) for name in FORMS
    }
    assert sum(parts.values()) == pytest.approx(one_by_one[0], rel=1e-5)
    weights = dict.fromkeys(FORMS, 1.0) | {
        "alone": 0.0,
        "wide_mean": 3.0,
        "narrow_mean": 3.0,
    }
    expected = sum(weights[name] * parts[name] for name in FORMS)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_features_of_one_drift_share_its_fields(one_by_one):
    some, others = CountedDrift(), CountedDrift()
    loss, _ = losses(FeatureDrifts({"*_mean": some, "*": others}))
    assert (some.count, others.count) == (2, 3)
    assert float(loss) == pytest.approx(one_by_one[0], rel=1e-6)


def test_the_errors_of_a_frozen_field_are_measured(one_by_one):
    loss, _ = losses(CountedDrift(), features_moved=True)
    assert float(loss) == pytest.approx(one_by_one[0], rel=1e-5)


def test_the_gradient_of_the_steps_is_that_of_a_regression():
    rng = np.random.default_rng(0)
    shapes = (8, 1, 5), (8, 2, 5)
    steps = [rng.normal(size=shape).astype("float32") for shape in shapes]

    def loss(number, sample):
        samples = list(map(ops.convert_to_tensor, steps))
        samples[number] = sample
        errors = squared_steps(
            samples, list(map(ops.convert_to_tensor, steps)), ops.zeros(2)
        )
        return ops.sum(ops.convert_to_tensor([1.0, 3.0]) * errors)

    for number, factor in enumerate((-2.0, -6.0)):
        step = steps[number]
        found = contracts.gradient(
            functools.partial(loss, number), np.ones_like(step)
        )
        contracts.assert_close(found, factor * step / step.size, 1e-6)


@pytest.mark.skipif(
    contracts.BACKEND != "jax", reason="the gradient of JAX stands for all"
)
def test_gradients_are_those_of_each_feature():
    import jax

    # One of a dimension of its own, and two that share a field.
    names = ("wide", "narrow", "narrow_mean")

    def gradient(shares, stop_gradient, features_moved=False):
        features, *rest = (
            {name: features[name] for name in names}
            for features in (
                draw(GENERATED, 0),
                draw(POSITIVES, 1),
                draw(POSITIVES, 2),
            )
        )
        drift = CountedDrift(shares)
        batch = TrainingBatch({}, np.zeros((GROUPS, POSITIVES, 1), "float32"))

        def loss(features):
            objective = DriftObjective(
                Given(*rest),
                drift,
                stop_gradient=stop_gradient,
                num_generated=GENERATED,
            )
            targets = objective.targets(features, batch)
            return objective.loss(features, targets, features_moved)

        return jax.jit(jax.grad(loss))(features)

    for stop_gradient in (True, False):
        found = gradient(True, stop_gradient)
        # Without sharing, and with a regression that is not taken apart.
        expected = gradient(False, stop_gradient, features_moved=True)
        for name in names:
            contracts.assert_close(
                np.asarray(found[name]), np.asarray(expected[name]), 1e-5
            )


@pytest.mark.parametrize("features_moved", [False, True])
def test_fields_by_gram_matrices_are_those_by_coordinates(
    features_moved, monkeypatch
):
    """Loss, targets and gradients: wide features, and others beside them."""
    drift = drifts.KernelDrift(kernels.Laplacian([0.05, 0.5]), "dual")
    scale = ops.convert_to_tensor([1.0, 2.0])
    wide = {"wide": 2, "wide_mean": 3}
    given = [
        draw(count, seed)
        for seed, count in enumerate((GENERATED, POSITIVES, UNCONDITIONAL))
    ]
    for features in given:
        for name, times in wide.items():
            features[name] = np.tile(features[name], (1, 1, times))

    def found():
        def loss(name, value):
            features, *rest = (
                {
                    key: ops.convert_to_tensor(feature)
                    for key, feature in features.items()
                }
                for features in given
            )
            features[name] = value
            batch = TrainingBatch(
                {},
                np.zeros((GROUPS, POSITIVES, 1), "float32"),
                unconditional=np.zeros((GROUPS, UNCONDITIONAL, 1), "float32"),
                guidance_scale=scale,
                step_size=0.5,
            )
            objective = DriftObjective(
                Given(*rest), drift, num_generated=GENERATED
            )
            targets = objective.targets(features, batch)
            return objective.loss(features, targets, features_moved)

        return [
            (
                contracts.numpy(loss(name, ops.convert_to_tensor(value))),
                contracts.gradient(functools.partial(loss, name), value),
            )
            for name, value in given[0].items()
            if name in (*wide, "narrow")
        ]

    calls = []
    by_gram = gram_field.gram_field
    monkeypatch.setattr(
        gram_field,
        "gram_field",
        lambda *args: calls.append(args) or by_gram(*args),
    )
    results = found()
    # Of all dimensions in one field.
    assert calls
    assert all(points.dims == [36, 24] for _, points, _ in calls)
    monkeypatch.setattr(gram_field, "suits", lambda *args: False)
    del calls[:]
    for (one, gradient), (other, expected) in zip(
        results, found(), strict=True
    ):
        contracts.assert_close(one, other, 1e-5)
        contracts.assert_close(gradient, expected, 1e-5)
    assert not calls


def test_refuses_weights_that_leave_no_feature():
    with pytest.raises(ValueError, match="weight above zero"):
        losses(CountedDrift(), loss_weights={"*": 0.0})


@pytest.mark.parametrize("patterns", [("*", "a"), ("a*", "ab"), ("a*", "a*b")])
def test_refuses_patterns_that_match_nothing(patterns):
    with pytest.raises(ValueError, match="general patterns last"):
        FeatureDrifts(dict.fromkeys(patterns, "kernel_drift"))
    with pytest.raises(ValueError, match="general patterns last"):
        losses(CountedDrift(), loss_weights=dict.fromkeys(patterns, 1.0))


def test_a_drift_for_two_patterns_is_refused():
    """Files would hold its bandwidth once, and a copy has it twice."""
    drift = drifts.KernelDrift()
    with pytest.raises(ValueError, match=r"`drift` twice.*join the patterns"):
        FeatureDrifts({"layer1*": drift, "layer2*": drift})


@pytest.mark.parametrize("stop_gradient", [False, True])
def test_no_gradient_flows_through_the_length_scale(stop_gradient):
    """Loss and gradient are those in units of a constant length."""
    rng = np.random.default_rng(0)
    x, data = (
        rng.normal(size=(n, 1, 3), scale=2.0).astype("float32") for n in (4, 5)
    )
    drift = drifts.KernelDrift(kernels.Laplacian(0.5), relative=True)
    batch = TrainingBatch({}, np.zeros((1, 5, 1), "float32"))

    def loss(x):
        objective = DriftObjective(
            Given({"x": data}),
            drift,
            stop_gradient=stop_gradient,
            num_generated=4,
        )
        features = {"x": x}
        targets = objective.targets(features, batch)
        return objective.loss(features, targets, features_moved=False)

    def field(x):
        return drift.field(ops.transpose(x, (1, 0, 2)), data[None, :, 0])

    fixed = contracts.in_one_program(field)(x)
    scale = float(contracts.numpy(fixed.length_scale))
    assert not 0.9 < scale < 1.1
    if stop_gradient:
        step = contracts.numpy(fixed.velocity)[0][:, None]
        expected = -2 * step / step.size / scale**2
    else:  # the gradient of the velocity itself
        expected = contracts.gradient(
            lambda x: ops.mean(ops.square(field(x).velocity)) / scale**2, x
        )
    found = contracts.gradient(loss, x)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
