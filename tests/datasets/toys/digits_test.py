import sys

import numpy as np
import pytest

from keras_drift import datasets

pytestmark = pytest.mark.backend_free


def rows(images):
    return {image.tobytes() for image in images}


def test_all_digits_are_images_between_minus_one_and_one():
    images, labels = datasets.digits()
    assert images.shape == (1797, 8, 8, 1)
    assert images.dtype == np.float32
    assert (images.min(), images.max()) == (-1.0, 1.0)
    assert labels.shape == (1797,)
    assert labels.dtype == np.int32
    assert set(labels.tolist()) == set(range(10))


def test_paper_is_dark_and_ink_is_bright():
    images, labels = datasets.digits()
    zero = images[labels == 0].mean(axis=0)[..., 0]
    assert zero[0, 0] == -1.0
    assert zero[3:5, 3:5].mean() < zero[3:5, 2].mean()


def test_train_and_test_are_disjoint_and_together_all():
    train, _ = datasets.digits("train")
    test, _ = datasets.digits("test")
    everything, _ = datasets.digits()
    # No two of the images are equal, so their bytes name them.
    assert len(rows(everything)) == 1797
    assert len(train) + len(test) == 1797
    assert rows(train) | rows(test) == rows(everything)


@pytest.mark.parametrize("fraction", [0.2, 0.5, 1e-6, 0.999999])
def test_each_digit_is_split_at_the_fraction(fraction):
    _, labels = datasets.digits()
    _, tested = datasets.digits("test", test_fraction=fraction)
    counts = np.bincount(labels)
    expected = np.clip(np.round(fraction * counts), 1, counts - 1)
    np.testing.assert_array_equal(np.bincount(tested), expected)


def test_images_keep_their_labels_and_their_order():
    images, labels = datasets.digits()
    label_of = {i.tobytes(): y for i, y in zip(images, labels, strict=True)}
    place_of = {image.tobytes(): i for i, image in enumerate(images)}
    for split in ("train", "test"):
        some, theirs = datasets.digits(split)
        assert [label_of[i.tobytes()] for i in some] == theirs.tolist()
        places = [place_of[image.tobytes()] for image in some]
        assert places == sorted(places)


def test_seed_decides_the_split():
    first, _ = datasets.digits("test", seed=1)
    again, _ = datasets.digits("test", seed=1)
    other, _ = datasets.digits("test", seed=2)
    np.testing.assert_array_equal(first, again)
    # Expected by chance: a fifth of a fifth.
    shared = len(rows(first) & rows(other)) / len(first)
    assert 0.1 < shared < 0.3


def test_names_an_unknown_split():
    with pytest.raises(ValueError, match=r"mean 'train'\?.*split='trian'"):
        datasets.digits("trian")


@pytest.mark.parametrize("fraction", [0, 1, 1.5, -0.1])
def test_names_a_fraction_that_is_none(fraction):
    with pytest.raises(ValueError, match=rf"share.*test_fraction={fraction}"):
        datasets.digits("test", test_fraction=fraction)


def test_says_how_to_install_what_is_missing(monkeypatch):
    # `None` is how Python marks a module that must not be imported.
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r'install "keras-drift\[examples\]"'):
        datasets.digits()
