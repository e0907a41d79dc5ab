"""What each of eight devices computes and exchanges, counted in programs."""

import pathlib

import pytest

import contracts
import on_devices

pytestmark = pytest.mark.skipif(
    not contracts.ON_JAX, reason="`keras.distribution` is JAX's"
)

SCRIPT = pathlib.Path(__file__).parents[2] / "benchmarks" / "scaling.py"


def measured(*options):
    rows = on_devices.results_of(SCRIPT, *options)
    return {row["case"]: row for row in rows}


def test_no_device_does_the_work_of_another():
    rows = measured("--quick")
    groups, samples = rows["field 4096 x 32"], rows["field 1 x 4096"]
    assert groups["all_gathers"] == 0
    assert groups["share"] <= 0.13
    assert samples["gathered"] == 1  # positives and negatives, once
    assert samples["share"] <= 0.14
    assert rows["step (1024, 4)"]["share"] <= 0.13


@pytest.mark.slow
def test_no_device_does_the_work_of_another_in_large_batches():
    rows = measured()
    for name in ("field 8192 x 32", "field 64 x 64"):
        assert rows[name]["all_gathers"] == 0
        assert rows[name]["share"] <= 0.13
    for name in ("field 1 x 16384", "field 3 x 4096"):
        assert rows[name]["gathered"] <= 1
        assert rows[name]["share"] <= 0.14
    # Two groups on five devices, one on three.
    assert rows["field 13 x 640"]["share"] <= 0.16
    for name in ("step (2048, 4)", "step (16, 128, 4)", "step (6, 172, 4)"):
        assert rows[name]["share"] <= 0.13
