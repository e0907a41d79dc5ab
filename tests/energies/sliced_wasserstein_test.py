import numpy as np
import pytest

import contracts
from keras_drift import drifts
from keras_drift import energies
from keras_drift.ops import slice_directions

rng = np.random.default_rng(0)
X = rng.normal(size=(6, 3))


def energy_by_hand(x, data, counts, num_projections=6):
    """Both sets repeated until they have one size."""
    data = np.repeat(data, counts, axis=0)
    size = np.lcm(len(x), len(data))
    x, data = (np.repeat(v, size // len(v), axis=0) for v in (x, data))
    directions = slice_directions(num_projections, x.shape[1], 0)
    squares = [
        np.mean((np.sort(x @ d) - np.sort(data @ d)) ** 2) for d in directions
    ]
    return np.mean(squares) / 2


@pytest.mark.parametrize(
    ("counts", "weighted"),
    [([1] * 6, False), ([1] * 4, False), ([2, 1, 0, 3, 1], True)],
)
def test_value_and_velocity_match_the_definition(counts, weighted):
    data = rng.normal(size=(len(counts), 3)) + 0.5
    energy = energies.SlicedWasserstein(num_projections=6)
    drift = drifts.VariationalDrift(energy)
    weights = np.array(counts) / 3 if weighted else None

    @contracts.in_one_program
    def both(x, data):
        return (
            energy(x, data, weights),
            drift(x, data, positive_weights=weights),
        )

    value, velocity = map(contracts.numpy, both(X, data))
    np.testing.assert_allclose(
        value, energy_by_hand(X, data, counts), rtol=1e-5
    )
    slope = np.zeros_like(X)
    for at in np.ndindex(*X.shape):
        step = np.zeros_like(X)
        step[at] = 1e-6
        slope[at] = energy_by_hand(X + step, data, counts) - energy_by_hand(
            X - step, data, counts
        )
    np.testing.assert_allclose(
        velocity, -6 * slope / 2e-6, rtol=1e-4, atol=1e-5
    )


def test_a_shift_is_shared_among_the_dimensions():
    drift = drifts.VariationalDrift(energies.SlicedWasserstein(6))
    velocity = contracts.in_one_program(drift)(X, X + np.array([3.0, 0, -6]))
    expected = np.broadcast_to([1.0, 0, -2], X.shape)
    np.testing.assert_allclose(contracts.numpy(velocity), expected, atol=1e-5)


def test_refuses_zero_directions():
    with pytest.raises(ValueError, match=r"`num_projections`.*=0"):
        energies.SlicedWasserstein(0)
