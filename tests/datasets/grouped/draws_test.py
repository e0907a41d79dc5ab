import numpy as np
import pytest
from scipy import stats

from keras_drift.datasets.grouped.draws import draw

pytestmark = pytest.mark.backend_free

# Fewer than drawn, as many, one more, about twice, many, very many.
COUNTS = np.array([1, 4, 5, 6, 11, 12, 13, 100, 10**6])


def test_stays_within_each_group():
    indices = draw(COUNTS, 6, np.random.default_rng(0))
    assert indices.shape == (9, 6)
    assert np.all(indices >= 0)
    assert np.all(indices < COUNTS[:, None])


def test_repeats_nothing_where_there_is_enough():
    rng = np.random.default_rng(0)
    for _ in range(50):
        for count, row in zip(COUNTS, draw(COUNTS, 6, rng), strict=True):
            if count >= 6:
                assert len(set(row.tolist())) == 6


def test_takes_all_of_a_group_of_the_right_size():
    (row,) = draw(np.array([50]), 50, np.random.default_rng(0))
    assert sorted(row.tolist()) == list(range(50))


@pytest.mark.parametrize("count", [2, 3, 5, 6, 7, 9])
def test_each_ordered_draw_is_as_likely(count):
    # All ways of drawing are reached: with repetition, tight and roomy.
    counts = np.full(30_000, count)
    indices = draw(counts, 3, np.random.default_rng(1))
    code = indices @ count ** np.arange(3)
    _, frequencies = np.unique(code, return_counts=True)
    expected = count**3 if count < 3 else count * (count - 1) * (count - 2)
    assert len(frequencies) == expected
    assert stats.chisquare(frequencies).pvalue > 1e-3


def test_depends_on_the_generator_alone():
    first = draw(COUNTS, 6, np.random.default_rng(2))
    again = draw(COUNTS, 6, np.random.default_rng(2))
    np.testing.assert_array_equal(first, again)


def test_leaves_the_counts_alone():
    before = COUNTS.copy()
    draw(COUNTS, 6, np.random.default_rng(2))
    np.testing.assert_array_equal(COUNTS, before)
