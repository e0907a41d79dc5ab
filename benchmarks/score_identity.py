"""How fast the Gaussian drift converges to the difference of scores.

For the Gaussian kernel the drift of infinitely many samples is
`bandwidth**2 * grad log(p_s / q_s)`, with `p_s` and `q_s` the densities
smoothed by the bandwidth, for Gaussian mixtures known in closed form. The
script prints how far the drift of N positives and N independent negatives is
from it on average, over points drawn from both densities in equal parts, and
the slope of `log(error)` against `log(N)`: -1/2, the rate of Monte Carlo.

Run it on the backend of your choice, a minute each on two cores:

    KERAS_BACKEND=jax python benchmarks/score_identity.py

The bar: at 50,000 samples at most 4.9e-3, with a slope of -0.5 +- 0.05.
"""

import argparse
import time

import keras
import numpy as np
from keras import ops

from keras_drift.datasets import GaussianMixture
from keras_drift.drifts import KernelDrift
from keras_drift.kernels import Gaussian

BANDWIDTH = 0.3
SIZES = (1_000, 3_000, 10_000, 50_000)
# Queries at a time: 64 x 50,000 distances are 13 MB.
CHUNK = 64


def mixtures():
    """The data p and the model q: four modes each, q turned and shifted."""
    angles = np.pi / 2 * np.arange(4)
    p = GaussianMixture(_circle(angles), stds=0.3)
    turned = _circle(angles + np.pi / 12)
    q = GaussianMixture(np.add(turned, [0.1, -0.1]), stds=0.35)
    return p, q


def _circle(angles):
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def exact_drift(p, q, x, bandwidth=BANDWIDTH):
    """`bandwidth**2 * grad log(p_s / q_s)` at `x`, float64."""
    scores = [mixture.smoothed(bandwidth).score(x) for mixture in (p, q)]
    return bandwidth**2 * (scores[0] - scores[1])


def mean_error(num_samples, seed, num_queries=256):
    """Mean distance of the drift of `num_samples` samples to the exact one."""
    p, q = mixtures()
    rng = np.random.default_rng(seed)
    half = num_queries // 2
    x = np.concatenate([p.sample(half, rng), q.sample(half, rng)])
    positives = ops.convert_to_tensor(p.sample(num_samples, rng))
    negatives = ops.convert_to_tensor(q.sample(num_samples, rng))
    drift = KernelDrift(Gaussian(BANDWIDTH), self_interaction="independent")
    velocity = np.concatenate(
        [
            ops.convert_to_numpy(drift(x[i : i + CHUNK], positives, negatives))
            for i in range(0, len(x), CHUNK)
        ]
    )
    errors = velocity - exact_drift(p, q, x)
    return float(np.mean(np.linalg.norm(errors, axis=-1)))


def slope(sizes, errors):
    """Of `log(errors)` against `log(sizes)`, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--seeds", type=int, default=16, help="to average over")
    parser.add_argument("--queries", type=int, default=256, help="per seed")
    args = parser.parse_args()

    print(f"backend {keras.backend.backend()}, bandwidth {BANDWIDTH}")
    print(" samples  mean error  over seeds     time")
    means = []
    for size in args.sizes:
        start = time.perf_counter()
        errors = [
            mean_error(size, seed, args.queries) for seed in range(args.seeds)
        ]
        seconds = time.perf_counter() - start
        means.append(np.mean(errors))
        print(
            f"{size:8,}  {means[-1]:10.2e}  {np.std(errors):10.1e}"
            f"  {seconds:6.1f}s"
        )
    if len(means) > 1:
        print(f"slope of log(error): {slope(args.sizes, means):.3f}")


if __name__ == "__main__":
    main()
