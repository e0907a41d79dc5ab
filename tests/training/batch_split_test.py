"""How devices divide a batch, in counts of devices that are not here."""

import pytest

from keras_drift import DriftModel
from keras_drift import generators
from keras_drift.training import batch_split


@pytest.mark.parametrize(
    ("processes", "devices", "data_shares"),
    [(1, 128, 1), (32, 128, 32), (64, 128, 64), (16, 64, 64)],
)
def test_of_fewer_groups_than_devices_the_samples_are_divided(
    monkeypatch, processes, devices, data_shares
):
    backend = batch_split.backend
    monkeypatch.setattr(backend, "num_devices", lambda: devices)
    monkeypatch.setattr(backend, "num_processes", lambda: processes)
    generator = generators.MLP(2, hidden_dims=(8,), num_classes=1000)
    model = DriftModel(generator, num_generated=128)
    found = batch_split._of_one_program(model, 64 // processes, 32)
    assert (found.groups, found.data_shares) == (64, data_shares)
    assert found.axis == ("groups" if devices == 64 else "samples")
    assert found.generated_shares == devices
    notes = "\n".join(found.notes)
    assert bool(notes) == (devices > 64)
    assert ("all that its process gives" in notes) == (
        1 < data_shares < devices
    )
