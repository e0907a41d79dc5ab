"""Five training steps on eight devices are those on one.

The field is that of the whole batch, whatever is spread: groups, samples of one
group, or weights.
"""

import pathlib

import numpy as np
import pytest

import contracts
import on_devices

pytestmark = pytest.mark.skipif(
    not contracts.ON_JAX, reason="`keras.distribution` is JAX's"
)

SCRIPT = pathlib.Path(__file__).with_name("distributed_cases.py")


def assert_same_training(*names):
    results = on_devices.results_of(SCRIPT, *names)
    for name in names:
        alone = results[name].pop("one device")
        for place, found in results[name].items():
            assert_same(found, alone, f"{name}, {place}")
    return results


def assert_same(found, alone, what):
    np.testing.assert_allclose(
        found["losses"], alone["losses"], rtol=1e-4, err_msg=what
    )
    for ours, each in zip(found["weights"], alone["weights"], strict=True):
        contracts.assert_close(np.array(ours), np.array(each), 1e-4)


def test_guided_groups_that_devices_do_not_divide():
    # On a mesh of two axes, rows added by XLA would train the first class.
    assert_same_training("kernel, guided groups")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "kernel, one group",
        "sinkhorn, independent negatives",
        "sliced, one group",
        "sum, guided velocities",
        "dual, one group, moving negatives",
    ],
)
def test_every_drift(name):
    assert_same_training(name)


@pytest.mark.slow
def test_weights_and_optimizer_are_cut():
    results = assert_same_training("transformer")
    shares = {k: v["share"] for k, v in results["transformer"].items()}
    assert shares["eight devices"] == 1
    assert shares["four by two"] <= 1 / 7


@pytest.mark.slow
def test_processes_train_on_the_batch_of_all_of_them():
    # Each is given half of the groups, or of the samples of one group. Its four
    # devices do not divide nine samples, or one or three groups.
    names = [
        "transformer",
        "kernel, one group, two processes",
        "kernel, nine samples of a process",
        "kernel, three groups of a process",
        "dual, one class of a process",
        "kernel, guided groups",
    ]
    (alone,) = on_devices.results_of_processes(
        SCRIPT, *names, processes=1, devices=1
    )
    for found in on_devices.results_of_processes(SCRIPT, *names):
        for name in names:
            place = "eight devices"
            assert_same(found[name][place], alone[name][place], name)
