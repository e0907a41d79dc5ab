import keras
import numpy as np
import pytest

import contracts
from keras_drift import drifts
from keras_drift import kernels

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 6, 3)).astype("float32")
DATA = (RNG.normal(size=(2, 8, 3)) + 0.5).astype("float32")
WIDTHS = [0.5, 1.0, 3.0]
WEIGHTS = (2.0, 0.0, 0.25)


def drift(widths, **options):
    return drifts.KernelDrift(kernels.Gaussian(widths), **options)


def each(**options):
    """The velocities of single bandwidths."""
    return [
        contracts.numpy(drift(width, **options)(X, DATA)) for width in WIDTHS
    ]


@pytest.mark.parametrize("normalization", ["row", "dual", "sharp"])
@pytest.mark.parametrize("unit_rms", [False, True])
def test_field_is_the_weighted_sum(normalization, unit_rms):
    options = {
        "normalization": normalization,
        "unit_rms": unit_rms,
        "relative": False,
    }
    weighted = drift(WIDTHS, bandwidth_weights=WEIGHTS, **options)
    expected = np.tensordot(WEIGHTS, each(**options), axes=1)
    found = contracts.numpy(weighted(X, DATA))
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5)


def test_equal_weights_are_the_mean():
    weighted = drift(WIDTHS, bandwidth_weights=[1 / 3] * 3)
    np.testing.assert_allclose(
        contracts.numpy(weighted(X, DATA)),
        contracts.numpy(drift(WIDTHS)(X, DATA)),
        rtol=1e-5,
        atol=1e-6,
    )


def test_config_has_the_weights():
    weighted = drift(WIDTHS, bandwidth_weights=np.float32(WEIGHTS))
    config = keras.saving.serialize_keras_object(weighted)
    again = keras.saving.deserialize_keras_object(config)
    assert again.bandwidth_weights == list(WEIGHTS)
    np.testing.assert_array_equal(
        contracts.numpy(again(X, DATA)), contracts.numpy(weighted(X, DATA))
    )


def test_guides_with_each_bandwidth():
    options = {"guidance_mode": "velocity"}
    given = {"unconditional": DATA[:, :4], "guidance_scale": 2.0}
    weighted = drift(WIDTHS, bandwidth_weights=WEIGHTS, **options)
    expected = np.tensordot(
        WEIGHTS,
        [
            contracts.numpy(drift(width, **options)(X, DATA, **given))
            for width in WIDTHS
        ],
        axes=1,
    )
    found = contracts.numpy(weighted(X, DATA, **given))
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize(
    "weights", [[1.0], [1.0, -1.0, 1.0], [0.0] * 3, [1.0, np.nan, 1.0], 1.0]
)
def test_refuses_weights_that_do_not_fit(weights):
    with pytest.raises(ValueError, match="3 bandwidths of the kernel"):
        drift(WIDTHS, bandwidth_weights=weights)
