import keras
import pytest

import contracts
from keras_drift import energies

NAMES = [
    "frechet_distance",
    "mmd",
    "sinkhorn_divergence",
    "sliced_wasserstein",
    "smoothed_f_divergence",
    "smoothed_kl",
]


@pytest.mark.parametrize("name", NAMES)
def test_get_takes_a_name_an_energy_or_its_config(name):
    energy = energies.get(name)
    assert isinstance(energy, energies.Energy)
    assert energies.get(energy) is energy
    config = keras.saving.serialize_keras_object(energy)
    assert energies.get(config).get_config() == energy.get_config()
    assert contracts.copy_of(energy).get_config() == energy.get_config()


def test_get_suggests_what_was_meant():
    with pytest.raises(ValueError, match="Unknown energy 'mdd'"):
        energies.get("mdd")


@pytest.mark.parametrize("value", [3, None, energies.MMD])
def test_get_refuses_other_things(value):
    with pytest.raises(TypeError, match=r"`energy` is a .*Energy`.*energy="):
        energies.get(value)
