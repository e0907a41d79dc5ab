"""Which processes of JAX are joined: what launchers have said, and no more."""

import os

import keras
import pytest

from keras_drift import distribution

if keras.backend.backend() != "jax":
    pytest.skip("of JAX", allow_module_level=True)

from keras_drift.backend import jax_processes

PREFIXES = ("JAX_", "KERAS_DISTRIBUTION_", "SLURM_", "OMPI_", "TPU_")
SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
}
MPI = {"OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1:34911"}


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in list(os.environ):
        if name.startswith(PREFIXES):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"JAX_NUM_PROCESSES": "1", "JAX_COORDINATOR_ADDRESS": "host:1"},
        {**SLURM, "SLURM_NTASKS": "1"},
        # A batch script, beside the steps that `srun` starts.
        {"SLURM_JOB_ID": "7", "SLURM_LOCALID": "0", "SLURM_NTASKS": "2"},
        {**MPI, "OMPI_COMM_WORLD_SIZE": "1"},
        # The shell of `salloc`, which is one task of a job of four.
        {**SLURM, "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "1"},
        {"TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"},
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
    ],
    ids=str,
)
def test_a_process_that_was_started_alone_connects_to_nothing(
    monkeypatch, variables
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert jax_processes.launched() is None
    assert distribution.initialize() == (0, 1)


@pytest.mark.parametrize(
    "variables",
    [
        {**SLURM, "SLURM_NTASKS": "2"},
        {**MPI, "OMPI_COMM_WORLD_SIZE": "2"},
        # `mpirun` may start its processes by way of Slurm.
        {**SLURM, **MPI, "SLURM_NTASKS": "1", "OMPI_COMM_WORLD_SIZE": "2"},
        {"TPU_WORKER_HOSTNAMES": "host-0,host-1", "TPU_WORKER_ID": "1"},
        {"TPU_PROCESS_ADDRESSES": "host-0:8471,host-1:8471"},
        {"TPU_WORKER_HOSTNAMES": "host-0", "MEGASCALE_NUM_SLICES": "2"},
    ],
    ids=str,
)
def test_jax_finds_the_address_of_a_launcher_that_it_knows(
    monkeypatch, variables
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert set(jax_processes.launched().values()) == {None}


@pytest.mark.parametrize(
    "names",
    [
        ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"),
        (
            "KERAS_DISTRIBUTION_JOB_ADDRESSES",
            "KERAS_DISTRIBUTION_NUM_PROCESSES",
            "KERAS_DISTRIBUTION_PROCESS_ID",
        ),
    ],
)
def test_what_variables_say_is_not_asked_of_the_cluster(monkeypatch, names):
    for name, value in zip(names, ("a:1,b:2", "2", "1"), strict=True):
        monkeypatch.setenv(name, value)
    assert jax_processes.launched() == {
        "coordinator_address": "a:1",
        "num_processes": 2,
        "process_id": 1,
        "cluster_detection_method": "deactivate",
    }


def test_the_hosts_of_a_slice_of_tpus_are_told_by_their_number(monkeypatch):
    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "4")
    found = jax_processes.launched()
    assert found["num_processes"] == 4
    assert found["coordinator_address"] is None


def test_names_the_variables_that_are_missing(monkeypatch):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "host:1")
    monkeypatch.setenv("JAX_PROCESS_ID", "0")
    with pytest.raises(ValueError, match=r"JAX_NUM_PROCESSES.*number=None"):
        distribution.initialize()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JAX_NUM_PROCESSES", "two"),
        ("JAX_NUM_PROCESSES", "0"),
        ("KERAS_DISTRIBUTION_PROCESS_ID", "-1"),
        ("WORLD_SIZE", "x"),
    ],
)
def test_numbers_that_are_none_are_refused_by_name(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"Received: {name}='{value}'"):
        distribution.initialize()
