"""Numbers of the official release of Deng et al.; see `data/README.md`."""

from pathlib import Path

import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift.drifts import KernelDrift
from keras_drift.kernels import Laplacian
from keras_drift.ops import PointCloud
from keras_drift.ops import join
from keras_drift.ops import official_mean_distance

HERE = Path(__file__).parent
ALL_CASES = HERE.parents[2] / "shared" / "golden" / "drift_loss"

INPUTS = (
    "gen",
    "fixed_pos",
    "fixed_neg",
    "weight_gen",
    "weight_pos",
    "weight_neg",
)
CASES = (
    "all_weights",
    "basic_b1",
    "batch_cfg_weights",
    "close_clouds",
    "far_apart",
    "no_neg",
    "offset_mean_wide",
    "one_temperature",
    "pos_equals_gen",
    "single_gen_no_neg",
    "tiny_spread_floor",
    "wide_zero_neg_weight",
)


def load(name):
    for folder in (HERE / "data", ALL_CASES):
        path = folder / f"{name}.npz"
        if path.exists():
            return dict(np.load(path))
    pytest.skip(f"{ALL_CASES} is not part of the repository")


def drift_of(case):
    return KernelDrift(
        Laplacian(case["R_list"].tolist()),
        normalization="official_dual",
    )


def field_and_distance(case):
    """Our field, and the mean distance of the release before any floor."""
    drift = drift_of(case)
    inputs = {name: case.get(name) for name in INPUTS}

    def compute(gen, fixed_pos, fixed_neg, weight_gen, weight_pos, weight_neg):
        field = drift.field(
            gen,
            fixed_pos,
            unconditional=fixed_neg,
            positive_weights=weight_pos,
            negative_weights=weight_gen,
            unconditional_weights=weight_neg,
        )
        negatives = cloud(gen, weight_gen)
        if fixed_neg is not None:
            negatives = join(negatives, cloud(fixed_neg, weight_neg))
        positives = cloud(fixed_pos, weight_pos)
        samples = ops.convert_to_tensor(gen)
        return field, official_mean_distance(samples, positives, negatives)

    return contracts.in_one_program(compute)(**inputs)


def cloud(points, weights):
    if weights is not None:
        weights = ops.convert_to_tensor(weights)
    return PointCloud(ops.convert_to_tensor(points), weights)


def assert_close(found, expected, of_max):
    expected = np.asarray(expected)
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=of_max * np.abs(expected).max()
    )


@pytest.mark.parametrize("name", CASES)
def test_computes_what_the_release_does(name):
    case = load(name)
    # Exact copies turn rounding errors into distances: the release itself
    # moves by a few 1e-4 there.
    of_max = 1e-3 if name == "pos_equals_gen" else 1e-4
    field, scale = field_and_distance(case)
    velocity, length_scale, norm = (contracts.numpy(part) for part in field)
    _, num_samples, dim = case["gen"].shape
    step = velocity / length_scale
    loss = np.mean(step**2, axis=(1, 2))
    assert_close(loss, case["loss"], of_max)
    # The goal is frozen: only the samples get a gradient.
    gradient = -2 * step / (num_samples * dim * length_scale)
    assert_close(gradient, case["grad_gen"], max(of_max, 2e-4))
    squares = norm**2 / (dim * length_scale**2)
    assert_close(squares, case["info_loss_R"], of_max)

    assert_close(contracts.numpy(scale), case["info_scale"], of_max)


def test_regression_onto_the_moved_samples_has_the_gradient_of_the_release():
    case = load("basic_b1")
    field, _ = field_and_distance(case)
    goal = ops.add(case["gen"], field.velocity) / field.length_scale

    def loss(samples):
        squares = ops.square(samples / field.length_scale - goal)
        return ops.sum(ops.mean(squares, axis=(1, 2)))

    assert_close(contracts.gradient(loss, case["gen"]), case["grad_gen"], 2e-4)


def test_mathematics_without_the_switch_is_something_else():
    case = load("basic_b1")
    plain = KernelDrift(Laplacian(case["R_list"].tolist()), "dual")
    found = contracts.in_one_program(plain.field)(
        case["gen"], case["fixed_pos"], unconditional=case["fixed_neg"]
    )
    released = contracts.numpy(field_and_distance(case)[0].velocity)
    assert np.abs(contracts.numpy(found.velocity) - released).max() > 1e-2


def test_given_negatives_are_nobody_to_be_left_out():
    # Only a sample's own copy is masked, which given negatives do not hold.
    case = load("basic_b1")
    drift = contracts.in_one_program(drift_of(case))
    negatives = case["fixed_neg"]
    forwards = drift(case["gen"], case["fixed_pos"], negatives)
    backwards = drift(case["gen"], case["fixed_pos"], negatives[:, ::-1])
    np.testing.assert_allclose(
        contracts.numpy(forwards), contracts.numpy(backwards), rtol=1e-4
    )
