"""Reductions over pairs on one device and on all, see `spread_pairs_test`."""

import json

import jax
import keras
import numpy as np
from keras import ops

from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import log_sum_exp

# Groups, samples, points, block size, and whether the first points are the
# samples. Of 8 devices, none divides what is spread but in the last case.
CASES = {
    "groups in blocks": (11, 5, 6, (3, 4), False),
    "samples in blocks": (1, 19, 22, (2, 4), True),
    "samples as a whole": (3, 9, 12, None, True),
    "groups as a whole": (16, 3, 4, None, True),
}


def sums(groups, n, m, block_size, own):
    """Log-sums in both directions, and gradients of a function of them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(groups, n, 2)).astype("float32")
    y = rng.normal(size=(groups, m, 2)).astype("float32")
    if own:
        y[:, :n] = x
    weights = rng.integers(0, 3, size=(groups, m)).astype("float32")
    weights[:, :2] = 1

    def total(x, y, unit):
        pairs = Pairs(
            x,
            PointCloud(y, weights, contains_samples=own),
            block_size=block_size,
            unit=ops.broadcast_to(unit, (groups, 1, 1)),
        )
        ((rows, columns),) = log_sum_exp(pairs, [lambda cost: -cost])
        return ops.sum(rows**2) + ops.sum(columns**3), (rows, columns)

    return jax.grad(total, (0, 1, 2), has_aux=True)(x, y, 0.7)


def main():
    def all_cases():
        return {name: sums(*case) for name, case in CASES.items()}

    def flat(results):
        return {
            name: [np.asarray(part).tolist() for part in keras.tree.flatten(r)]
            for name, r in results.items()
        }

    alone = flat(jax.jit(lambda: all_cases())())
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    together = flat(jax.jit(lambda: all_cases())())
    print(json.dumps([alone, together]))


if __name__ == "__main__":
    main()
