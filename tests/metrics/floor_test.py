import numpy as np
import pytest
from keras import ops

from keras_drift import metrics


@pytest.fixture
def data():
    return np.arange(20.0).reshape(10, 2).astype("float32")


def test_draws_are_disjoint_and_of_the_right_size(data):
    seen = []

    def distance(x, y):
        seen.append((ops.convert_to_numpy(x), ops.convert_to_numpy(y)))
        return ops.mean(x)

    metrics.floor(distance, data, n=4, repeats=3)
    assert len(seen) == 3
    for x, y in seen:
        assert x.shape == y.shape == (4, 2)
        rows = {*map(tuple, x), *map(tuple, y)}
        assert len(rows) == 8
        assert rows < {*map(tuple, data)}
    assert not np.array_equal(seen[0][0], seen[1][0])


def test_averages_the_repeats(data):
    values = iter([1.0, 2.0, 6.0])
    value = metrics.floor(
        lambda x, y: ops.convert_to_tensor(next(values)), data, repeats=3
    )
    assert float(value) == 3


def test_uses_all_data_by_default(data):
    sizes = []

    def distance(x, y):
        sizes.extend([x.shape[0], y.shape[0]])
        return 0.0

    metrics.floor(distance, data[:9], repeats=1)
    assert sizes == [4, 4]


def test_seed_decides_the_draws(data):
    def at(seed):
        return float(metrics.floor(metrics.energy_distance, data, seed=seed))

    assert at(0) == at(0) != at(1)


def test_a_sample_of_the_same_distribution_is_at_the_floor():
    rng = np.random.default_rng(0)
    data, fresh = rng.normal(size=(2, 1000, 2))
    floor = float(metrics.floor(metrics.sliced_wasserstein, data, repeats=8))
    value = float(metrics.sliced_wasserstein(fresh[:500], data[:500]))
    assert value == pytest.approx(floor, rel=0.5)


@pytest.mark.parametrize(("size", "n"), [(10, 6), (1, None), (0, None)])
def test_refuses_too_few_samples(size, n):
    with pytest.raises(ValueError, match=rf"2 \* n.*data\.shape=\({size}, 2"):
        metrics.floor(metrics.energy_distance, np.ones((size, 2)), n=n)


def test_refuses_a_size_that_is_no_number(data):
    with pytest.raises(TypeError, match=r"n=2\.5"):
        metrics.floor(metrics.energy_distance, data, n=2.5)
    with pytest.raises(ValueError, match="repeats=0"):
        metrics.floor(metrics.energy_distance, data, repeats=0)
