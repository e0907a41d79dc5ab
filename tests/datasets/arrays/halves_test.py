import numpy as np
import pytest

from keras_drift import datasets
from keras_drift.datasets.arrays.halves import in_halves

pytestmark = pytest.mark.backend_free


def test_every_row_is_sorted_by_parity():
    rows = np.array([[3, 4, 5, 6], [8, 9, 10, 11], [7, 0, 1, 2]])
    found = in_halves(rows)
    np.testing.assert_array_equal(
        found, [[4, 3, 6, 5], [8, 9, 10, 11], [0, 7, 2, 1]]
    )


def numbered(size):
    return np.arange(size, dtype="float32")[:, None]


def halves(batches, num_metrics):
    """All samples at even places of their group, and all at odd ones."""
    even, odd = set(), set()
    for x, *_ in batches:
        x = x[..., 0].reshape(-1, x.shape[-2])[:, :num_metrics]
        even.update(x[:, 0::2].ravel().tolist())
        odd.update(x[:, 1::2].ravel().tolist())
    return even, odd


@pytest.mark.parametrize(
    ("counts", "positives"),
    [((40, 40), 8), ((7, 30), 6), ((20, 33), 9), ((3, 3), 8), ((12,), 12)],
)
def test_halves_of_classes_share_no_sample_however_long_it_takes(
    counts, positives
):
    labels = np.repeat(np.arange(len(counts)), counts)
    data = datasets.GroupedDataset(
        numbered(len(labels)),
        labels,
        positives=positives,
        steps_per_epoch=60,
    ).for_evaluation()
    even, odd = halves(data, positives - positives % 2)
    assert not even & odd
    # The last one of an odd class is left out, unless all fit in a batch.
    assert len(even | odd) >= len(labels) - len(counts)
    assert all(np.unique(batch[1]).size == len(counts) for batch in data)
    np.testing.assert_array_equal(data[0][0], data.fixed()[0][0])


def test_classes_give_their_samples_in_turn():
    labels = np.arange(60) % 3
    data = datasets.GroupedDataset(
        numbered(60), labels, groups_per_batch=2, positives=4
    ).for_evaluation()
    assert len(data) == 8
    shown = np.concatenate([x.ravel() for x, _ in data])
    assert np.unique(shown).size == 60  # 64 are read


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("size", "batch_size"), [(300, 256), (45, 16)])
def test_halves_of_arrays_share_no_sample(shuffle, size, batch_size):
    data = datasets.ArrayDataset(
        numbered(size), batch_size=batch_size, shuffle=shuffle
    )
    even, odd = halves(data.for_evaluation(), batch_size)
    # Of an odd number, a batch that begins anew may hold two even ones more.
    assert len(even & odd) <= size % 2
    assert len(even | odd) == size
    for mine, theirs in zip(data.for_evaluation(), data.fixed(), strict=True):
        np.testing.assert_array_equal(
            np.sort(mine[0], 0), np.sort(theirs[0], 0)
        )
