"""Predictions for pods: the counts that they are made of, and their laws."""

import pathlib
import sys

import pytest

import contracts

pytestmark = pytest.mark.skipif(
    not contracts.ON_JAX, reason="counts are those of programs of JAX"
)


@pytest.fixture(scope="module")
def modules():
    """The benchmark and its counts."""
    folder = pathlib.Path(__file__).parents[2] / "benchmarks"
    sys.path.insert(0, str(folder))
    try:
        import pod
        import pod_counts

        yield pod, pod_counts
    finally:
        sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def small(modules):
    pod, pod_counts = modules
    recipe = pod.SMALL._replace(groups=8)
    return recipe, pod_counts.count(recipe)


def test_counts_at_another_depth_are_on_the_line(modules):
    pod, pod_counts = modules
    recipe = pod.SMALL._replace(depth=4)
    found = pod_counts.count_generator(recipe)
    direct = pod_counts.counts_at_depth(recipe, 4)
    for name, number in direct.items():
        assert found[name] == pytest.approx(number, rel=1e-3), name
    assert found["gradient"] == pytest.approx(3 * found["forward"], rel=0.1)


@pytest.mark.slow
def test_published_networks_have_their_published_sizes(modules):
    pod, pod_counts = modules
    counts = pod_counts.count(pod.RECIPES["L/2"])
    assert counts.generator["parameters"] == pytest.approx(462_909_456)
    assert counts.encoder["parameters"] == pytest.approx(2_126_036_480)


def test_more_chips_take_less_time_and_memory(modules, small):
    pod, _ = modules
    recipe, counts = small
    one, four = (pod.predict(recipe, counts, pod.V4, n) for n in (1, 4))
    assert one.parts["exchange"] == 0 < four.parts["exchange"]
    for name in ("generator", "field"):
        assert four.parts[name] < one.parts[name]
    assert four.memory < one.memory


def test_a_smaller_memory_takes_more_micro_batches_then_none_fits(
    modules, small
):
    pod, _ = modules
    recipe, counts = small
    whole = pod.predict(recipe, counts, pod.V4, 2)
    assert (whole.micro_batches, whole.is_cut) == (1, False)
    tight = pod.V4._replace(memory=0.7 * whole.memory)
    found = pod.predict(recipe, counts, tight, 2)
    assert found.memory <= tight.memory
    assert found.micro_batches > 1
    assert found.seconds > whole.seconds
    assert pod.predict(recipe, counts, tight._replace(memory=1e3), 2) is None


def test_samples_of_fewer_groups_than_chips_are_padded(modules, small):
    pod, _ = modules
    recipe, counts = small
    device = pod.V4._replace(bandwidth=1e30)
    on_8, on_16 = (
        pod.predict(recipe, counts, device, chips).parts["field"]
        for chips in (8, 16)
    )
    # A group on each of 8; of 16, a half has a sample of each of 8 groups.
    assert on_16 == pytest.approx(on_8)
