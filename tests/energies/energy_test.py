import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import energies

X = np.array([[0.0, 0.0], [2.0, 0.0]])
DATA = np.array([[4.0, 3.0], [4.0, 1.0], [4.0, 2.0]])


class MeanGap(energies.Energy):
    def value(self, x, positives):
        gap = ops.mean(x, axis=1) - ops.mean(positives.points, axis=1)
        return ops.sum(gap**2, axis=-1)


class Slope(MeanGap):
    """Its value is one thing, its gradient another."""

    def first_variation(self, x, positives):
        return 3 * x[..., 0]


def test_is_a_number_or_one_for_each_group():
    assert float(MeanGap()(X, DATA)) == 13
    pair = MeanGap()(np.stack([X, X + 1]), np.stack([DATA, DATA]))
    assert contracts.numpy(pair).tolist() == [13, 5]


def test_a_first_variation_gives_the_gradient_not_the_value():
    assert float(Slope()(X, DATA)) == 13
    slope = contracts.gradient(lambda x: Slope()(x, ops.array(DATA)), X)
    np.testing.assert_allclose(slope, [[1.5, 0], [1.5, 0]])


def test_an_energy_without_value_says_what_to_write():
    with pytest.raises(NotImplementedError, match=r"`Energy`.*`value\(x, pos"):
        energies.Energy()(X, DATA)


def test_an_energy_without_bandwidth_cannot_be_annealed():
    assert MeanGap().bandwidth is None
    with pytest.raises(ValueError, match="`MeanGap` has no bandwidth"):
        MeanGap().anneal(1.0)


@pytest.mark.parametrize(
    "energy",
    [
        energies.MMD(),
        energies.SinkhornDivergence(1.0, num_steps=3),
        energies.SmoothedKL(1.0, num_nodes=1),
    ],
)
def test_anneal_sets_the_bandwidth(energy):
    before = float(contracts.in_one_program(energy)(X, DATA))
    energy.anneal(0.25)
    assert energy.initial_bandwidth == 1
    assert float(ops.convert_to_numpy(energy.bandwidth)) == 0.25
    assert float(contracts.in_one_program(energy)(X, DATA)) != before


@pytest.mark.parametrize(
    ("x", "positives", "message"),
    [
        ((4,), (4,), r"`\(n, d\)`.*x.shape=\(4,\), positives.shape=\(4,\)"),
        ((4, 2), (4, 3), r"last axes must match.*positives.shape=\(4, 3\)"),
        ((2, 4, 2), (3, 4, 2), r"number of groups.*\(3, 4, 2\)"),
        ((4, 2), (0, 2), r"`positives` is empty"),
    ],
)
def test_names_the_shapes_that_do_not_fit(x, positives, message):
    with pytest.raises(ValueError, match=message):
        MeanGap()(np.zeros(x), np.zeros(positives))


def test_names_the_weights_that_do_not_fit():
    with pytest.raises(ValueError, match=r"shape \(3,\). Received.*\(2,\)"):
        MeanGap()(X, DATA, np.ones(2))
