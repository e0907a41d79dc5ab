"""The noise floor of a distance between finite sets of samples."""

import numpy as np
from keras import ops

from keras_drift import checks
from keras_drift.byte_order import native


def floor(distance, data, n=None, repeats=4, seed=0):
    """Mean distance between two sets of real samples: the noise floor.

    A distance means little without its floor: two finite sets differ even if
    they come from one distribution, the more the smaller they are, by an amount
    that depends on the distance and the data. The floor is the score of a
    perfect generator. Report it beside every distance, for the same `n`.

    Args:
        distance: callable `(x, y) -> scalar`, such as `sliced_wasserstein`.
        data: array or tensor `(len, ...)`, real samples.
        n: int >= 1, the number of samples in each of the two sets, which have
            no sample in common. At most half of the data. Defaults to half of
            the data.
        repeats: int >= 1, how many pairs of sets are drawn and averaged.
            Defaults to `4`.
        seed: int, for drawing the sets. Defaults to `0`.

    Returns:
        float32 scalar, in the units of the distance.

    Raises:
        ValueError: if the data have fewer than `2 n` samples.

    Example:

    >>> from keras_drift import metrics
    >>> data = np.random.default_rng(0).normal(size=(1000, 2))
    >>> at_500 = metrics.floor(metrics.sliced_wasserstein, data)
    >>> at_20 = metrics.floor(metrics.sliced_wasserstein, data, n=20)
    >>> bool(at_20 > 2 * at_500)
    True
    """
    checks.no_masked_entries("data", data)
    data = ops.convert_to_tensor(native(data))
    size = data.shape[0] if data.shape else 0
    n = checks.positive_integer("n", max(size // 2, 1) if n is None else n)
    repeats = checks.positive_integer("repeats", repeats)
    if 2 * n > size:
        raise ValueError(
            "The floor compares two sets of `n` samples without a sample in "
            "common, so it needs at least `2 * n` of them. Pass more data or a "
            f"smaller `n`. Received: n={n}, data.shape={tuple(data.shape)}"
        )
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(repeats):
        # Keras makes floats of NumPy's integers where `floatx` is bfloat16.
        order = ops.convert_to_tensor(rng.permutation(size), "int32")
        first = ops.take(data, order[:n], axis=0)
        second = ops.take(data, order[n : 2 * n], axis=0)
        values.append(ops.cast(distance(first, second), "float32"))
    return ops.mean(ops.stack(values))
