import keras
import pytest

import contracts
from keras_drift import drifts


def test_get_takes_a_name():
    assert type(drifts.get("kernel_drift")) is drifts.KernelDrift


def test_get_takes_a_drift_or_its_config():
    drift = drifts.KernelDrift("gaussian", "dual", relative=False)
    assert drifts.get(drift) is drift
    config = keras.saving.serialize_keras_object(drift)
    assert drifts.get(config).get_config() == drift.get_config()
    assert contracts.copy_of(drift).get_config() == drift.get_config()


def test_get_suggests_what_was_meant():
    with pytest.raises(
        ValueError,
        match=r"Unknown drift 'kernel_drit'. Did you mean 'kernel_drift'\? "
        "Known names: .*kernel_drift",
    ):
        drifts.get("kernel_drit")


@pytest.mark.parametrize("value", [3, None, drifts.KernelDrift])
def test_get_refuses_other_things(value):
    with pytest.raises(TypeError, match=r"`drift` is a .*Drift`.*drift="):
        drifts.get(value)
