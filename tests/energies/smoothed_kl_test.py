import numpy as np

import contracts
from keras_drift import drifts
from keras_drift import energies


def test_is_one_of_the_divergences():
    rng = np.random.default_rng(0)
    x, data = rng.normal(size=(5, 2)), rng.normal(size=(7, 2))
    one, other = (
        float(contracts.in_one_program(energy)(x, data))
        for energy in (
            energies.SmoothedKL(0.7, num_nodes=4),
            energies.SmoothedFDivergence("kl_qp", 0.7, num_nodes=4),
        )
    )
    assert one == other


def test_a_wide_blur_takes_one_step_to_the_mean():
    rng = np.random.default_rng(0)
    x, data = rng.normal(size=(5, 2)), rng.normal(size=(7, 2)) + 1
    drift = drifts.VariationalDrift(energies.SmoothedKL(1e3, num_nodes=4))
    step = data.mean(axis=0) - x.mean(axis=0)
    velocity = contracts.numpy(contracts.in_one_program(drift)(x, data))
    np.testing.assert_allclose(velocity, np.stack([step] * 5), rtol=2e-3)
