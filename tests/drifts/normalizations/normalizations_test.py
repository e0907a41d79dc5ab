import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import kernels
from keras_drift.drifts import KernelDrift
from keras_drift.drifts import normalizations

NAMES = ("row", "dual", "official_dual", "sharp", "score")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_the_class_with_its_defaults(name):
    found = normalizations.get(name)
    assert type(found).__name__.lower() == name.replace("_", "")
    assert type(normalizations.get(found)) is type(found)
    assert normalizations.get(found) is found
    copy = contracts.copy_of(found)
    assert type(copy) is type(found)
    assert repr(copy) == repr(found)


@pytest.mark.parametrize(
    "normalization",
    [
        normalizations.Row(bias_correction=True, outer_smoothing=4),
        normalizations.Dual(bias_correction=True),
        normalizations.OfficialDual(),
        normalizations.Sharp(bias_correction=True),
        normalizations.Score(bias_correction=True),
    ],
    ids=repr,
)
def test_options_survive_the_config_of_the_drift(normalization):
    own = isinstance(normalization, normalizations.OfficialDual)
    drift = KernelDrift(
        kernels.Gaussian(0.5),
        normalization,
        self_interaction="excluded" if own else "included",
    )
    assert drift.normalization is normalization
    copy = contracts.copy_of(drift)
    assert repr(copy.normalization) == repr(normalization)
    assert copy.get_config() == drift.get_config()


def test_dual_normalizations_bring_relative_unit_fields():
    for name in NAMES:
        drift = KernelDrift(normalization=name)
        dual = name in ("dual", "official_dual")
        assert (drift.relative, drift.unit_rms) == (dual, dual)


def test_a_kernel_needs_a_companion_for_the_sharp_field():
    class WithoutCompanion(kernels.Kernel):
        def log_value(self, radius):
            return -radius

    KernelDrift(WithoutCompanion(), "row")
    with pytest.raises(NotImplementedError, match="log_companion"):
        KernelDrift(WithoutCompanion(), "sharp")


def test_a_normalization_of_a_user():
    class Constant(normalizations.Normalization):
        """Attraction by all positives alike."""

        def velocities(self, kernel, length, positives, negatives):
            mean = ops.mean(positives.points, axis=1, keepdims=True)
            return [mean - positives.x]

    x, y = np.array([[0.0], [1.0]]), np.array([[3.0], [5.0]])
    found = contracts.numpy(KernelDrift("gaussian", Constant())(x, y))
    np.testing.assert_allclose(found, [[4.0], [3.0]])
    with pytest.raises(
        NotImplementedError, match=r"`Normalization` must write `velocities\("
    ):
        KernelDrift("gaussian", normalizations.Normalization())(x, y)
