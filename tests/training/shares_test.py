"""Shares of a batch, with two replicas in place of the collectives."""

import numpy as np
import pytest

from keras_drift import backend
from keras_drift.training import shares
from keras_drift.training.data_batch import DataBatch

X = np.arange(24.0).reshape(2, 6, 2)
BATCH = DataBatch(X, np.arange(2), X[:, :2], X[..., 0])


@pytest.fixture(autouse=True)
def _second_of_two(monkeypatch):
    def second(x, axis):
        return np.split(x, 2, axis=axis)[1]

    monkeypatch.setattr(backend, "num_replicas", lambda: 2)
    monkeypatch.setattr(backend, "share", second)
    monkeypatch.setattr(backend, "RECEIVES_SHARES", False)


def test_groups_are_whole_on_one_replica():
    assert shares.placement_of(BATCH, False, 2) == "groups"
    share = shares.share_of(BATCH, "groups")
    for name, value in BATCH._asdict().items():
        np.testing.assert_array_equal(getattr(share, name), value[1:])


def test_a_single_group_is_divided_and_keeps_its_label():
    batch = DataBatch(*(value[:1] for value in BATCH))
    assert shares.placement_of(batch, False, 2) == "samples"
    share = shares.share_of(batch, "samples")
    np.testing.assert_array_equal(share.positives, X[:1, 3:])
    np.testing.assert_array_equal(share.unconditional, X[:1, 1:2])
    np.testing.assert_array_equal(share.weights, X[:1, 3:, 0])
    np.testing.assert_array_equal(share.labels, [0])


def test_a_share_of_one_group_is_not_taken_for_a_single_group(monkeypatch):
    # One of two groups, as replicas of TensorFlow are given.
    monkeypatch.setattr(backend, "RECEIVES_SHARES", True)
    share = DataBatch(*(value[:1] for value in BATCH))
    assert shares.placement_of(share, False, 2) == "groups"
    assert shares.placement_of(share, True, 2) == "samples"
    assert shares.placement_of(share, True, 1) is None


def test_random_numbers_are_those_of_the_whole_batch():
    found = shares.drawn(lambda rows: {"noise": np.arange(rows)}, 3)
    np.testing.assert_array_equal(found["noise"], [3, 4, 5])


def test_generated_samples_are_those_of_the_whole_group():
    assert shares.generated_per_group(None, 5, "samples") == 5
    assert shares.generated_per_group(6, 5, "samples") == 3
    assert shares.generated_per_group(6, 5, "groups") == 6
    assert shares.whole_group(3, "samples") == 6
    assert shares.whole_group(3, "groups") == 3


@pytest.mark.parametrize(
    ("placement", "size"), [("groups", "3 groups"), ("samples", "7 samples")]
)
def test_refuses_what_replicas_do_not_divide(placement, size):
    batch = DataBatch(np.zeros((3 if placement == "groups" else 1, 7, 2)))
    for refuse in (
        lambda: shares.share_of(batch, placement),
        lambda: shares.check_batch(batch, False, 2),
    ):
        with pytest.raises(ValueError, match=f"a batch of {size}, 2 replicas"):
            refuse()
