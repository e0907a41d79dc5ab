"""The handwritten digits data set of scikit-learn."""

import numpy as np

from keras_drift import checks
from keras_drift import extras


def digits(split=None, test_fraction=0.2, seed=0):
    """Loads 1797 handwritten digits of 8 x 8 pixels.

    Real images with classes that need no download and train on a laptop: the
    first data set to try after the toys. Needs scikit-learn.

    Args:
        split: `None` for all images, `"train"` or `"test"`. The two are
            disjoint, and their union is all images. Defaults to `None`.
        test_fraction: float between 0 and 1, the share of each digit that goes
            to the test set (at least one image, never all). Unused if `split`
            is `None`. Defaults to `0.2`.
        seed: int, for choosing the test set. Defaults to `0`.

    Returns:
        Tuple `(images, labels)`: float32 array `(n, 8, 8, 1)` in `[-1, 1]`
        (paper is -1, ink is 1) and int32 array `(n,)`, in the same order
        whatever the split.

    Raises:
        ImportError: if scikit-learn is not installed.
        TypeError: if `test_fraction` is not a number.
        ValueError: if `split` or `test_fraction` is not one of the above.

    Example:

    >>> from keras_drift import datasets
    >>> images, labels = datasets.digits("train")
    >>> images.shape, labels.shape
    ((1438, 8, 8, 1), (1438,))

    Reference:

    - [Alpaydin and Kaynak, 1998](https://doi.org/10.24432/C50P49)
    """
    if split is not None:
        checks.choice("split", split, ("train", "test"))
    meaning = "is a share of the images and must lie between 0 and 1"
    if checks.positive_number("test_fraction", test_fraction, meaning) >= 1:
        raise ValueError(
            f"`test_fraction` {meaning}. Received: "
            f"test_fraction={test_fraction!r}"
        )
    images, labels = _load()
    if split is None:
        return images, labels
    tested = _stratified(labels, test_fraction, checks.random_generator(seed))
    chosen = tested if split == "test" else ~tested
    return images[chosen], labels[chosen]


def _load():
    library = extras.load(
        "sklearn.datasets", "The images of `digits`", "scikit-learn", "examples"
    )
    pixels, labels = library.load_digits(return_X_y=True)
    # Pixels count ink in blocks of 4 x 4, from 0 to 16.
    images = pixels.reshape(-1, 8, 8, 1) / 8 - 1
    return images.astype("float32"), labels.astype("int32")


def _stratified(labels, fraction, rng):
    """Chooses the same share of each label at random; a bool array."""
    order = np.lexsort((rng.random(len(labels)), labels))
    counts = np.bincount(labels)
    # Rank of each image in a random order of the images of its label.
    rank = np.empty_like(labels)
    starts = np.cumsum(counts) - counts
    rank[order] = np.arange(len(labels)) - starts[labels[order]]
    quota = np.clip(np.rint(fraction * counts), 1, counts - 1)
    return rank < quota[labels]
