"""Meshes whose devices belong to processes in another order."""

import types

import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("`keras.distribution` is JAX's", allow_module_level=True)

from keras_drift.backend import jax_batches


def mesh_of(owners):
    """What is read of a mesh whose devices belong to these processes."""
    owners = np.array(owners)
    devices = np.empty(owners.shape, object)
    for index, owner in np.ndenumerate(owners):
        devices[index] = types.SimpleNamespace(process_index=owner)
    names = ("batch", "model")[: owners.ndim]
    return types.SimpleNamespace(
        devices=devices,
        axis_names=names,
        shape=dict(zip(names, owners.shape, strict=True)),
    )


@pytest.mark.parametrize(
    ("owners", "processes"),
    [
        ([0, 0, 1, 1, 0, 0, 1, 1], 2),
        ([[0, 1], [0, 1]], 2),  # both give the whole axis of the batch
        ([0, 0, 0, 1, 1, 1, 2, 2, 2, 2], 4),
    ],
)
def test_a_share_that_jax_would_mix_with_others_is_refused(owners, processes):
    mesh = mesh_of(owners)
    with pytest.raises(ValueError, match=r"must follow each other.*'batch'"):
        jax_batches._with_axis_of_processes(mesh, "batch", processes)


def test_the_axis_is_cut_by_processes(monkeypatch):
    monkeypatch.setattr(jax_batches, "Mesh", lambda *arguments: arguments)
    cut = jax_batches._with_axis_of_processes
    for owners, shape in (
        ([0, 0, 2, 2, 1, 1], (3, 2)),  # any order of the processes
        ([[0, 0], [0, 0], [1, 1], [1, 1]], (2, 2, 2)),
    ):
        mesh = mesh_of(owners)
        devices, names = cut(mesh, "batch", shape[0])
        assert devices.shape == shape
        assert [*devices.flat] == [*mesh.devices.flat]
        assert names[1] == "batch"
