import numpy as np
import pytest

import user_line
from keras_drift.datasets.banks.warm_up import WarmUp

pytestmark = pytest.mark.backend_free


def counts(*values):
    return np.array(values)


def test_ends_when_every_class_has_enough():
    warm_up = WarmUp(3, 1, 0, verbose=False)
    assert not warm_up.ends_with(counts(3, 2), 5)
    assert warm_up.ends_with(counts(3, 3), 1)
    assert warm_up.num_arrived == 6
    # It does not begin anew.
    assert warm_up.ends_with(counts(0, 0), 1)


def test_zero_waits_for_the_groups_of_a_batch_only():
    warm_up = WarmUp(0, 2, 6, verbose=False)
    assert not warm_up.ends_with(counts(3, 0, 0), 3)
    assert not warm_up.ends_with(counts(3, 1, 0), 2)
    assert warm_up.ends_with(counts(3, 2, 0), 1)


@pytest.mark.parametrize(
    ("min_count", "min_classes", "found", "match"),
    [
        (2, 1, [900, 0, 0], "2 of 3 classes.*first 900.*: 1, 2\\. Shuffle"),
        (0, 3, [900, 0, 9], "1 of 3 classes.*groups_per_batch=3"),
    ],
)
def test_names_classes_that_never_arrive(min_count, min_classes, found, match):
    warm_up = WarmUp(min_count, min_classes, 0, verbose=False)
    with pytest.raises(ValueError, match=match):
        warm_up.ends_with(counts(*found), 900)
    assert not warm_up.is_over


def test_does_not_give_up_on_classes_that_are_late_by_chance():
    rng = np.random.default_rng(0)
    for num_classes, min_count in ((1000, 1), (10, 64), (2, 1)):
        for _ in range(100 if num_classes < 1000 else 10):
            warm_up = WarmUp(min_count, 1, 0, verbose=False)
            found = np.zeros(num_classes, int)
            while not warm_up.ends_with(found, 64 if found.any() else 0):
                found += np.bincount(
                    rng.integers(num_classes, size=64), minlength=num_classes
                )
            assert found.min() >= min_count


def test_warns_of_rare_classes():
    warm_up = WarmUp(10, 1, 0, verbose=False)
    assert not warm_up.ends_with(counts(90, 3), 93)
    with user_line.warns(r"1 of 2.*class 1 only 4\."):
        assert warm_up.ends_with(counts(900, 4), 900)


def test_says_what_it_waits_for(capsys):
    warm_up = WarmUp(3, 1, 0, verbose=True)
    warm_up.ends_with(counts(3, 2), 5)
    warm_up.ends_with(counts(3, 3), 1)
    first, last = capsys.readouterr().err.splitlines()
    assert "up to 3 samples of each of 2 classes" in first
    assert last.startswith("Filling the memory banks: 6 samples")
