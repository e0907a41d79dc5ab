"""Score identity: the Gaussian drift is a difference of two scores.

The claim (arXiv 2603.09936 and others): with a Gaussian kernel and infinitely
many samples the drift is `bandwidth**2 * grad log(p_s / q_s)`, where `p_s` and
`q_s` are the densities of data and model, smoothed by the kernel. So it is zero
everywhere only if the two distributions are equal.

    python examples/reproduce/score_identity.py

The scores of Gaussian mixtures have a closed form. The script measures the mean
distance between the drift of N positives and N independent negatives and this
closed form, at points sampled from both densities in equal parts: at most
4.9e-3 at 50,000 samples, decreasing as the inverse root of N, the Monte Carlo
rate. Then the modes of q are rotated, widened, shifted and reweighted step by
step: the norm of the drift is zero where q is p, and grows in proportion to
each of these perturbations.
"""

import common
import matplotlib.pyplot as plt
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
    """The data p and the model q: four modes each, q rotated and shifted."""
    angles = np.pi / 2 * np.arange(4)
    p = GaussianMixture(_circle(angles), stds=0.3)
    rotated = _circle(angles + np.pi / 12)
    q = GaussianMixture(np.add(rotated, [0.1, -0.1]), stds=0.35)
    return p, q


def _circle(angles):
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def exact_drift(p, q, x, bandwidth=BANDWIDTH):
    """`bandwidth**2 * grad log(p_s / q_s)` at `x`, float64."""
    scores = [mixture.smoothed(bandwidth).score(x) for mixture in (p, q)]
    return bandwidth**2 * (scores[0] - scores[1])


def mean_error(num_samples, seed, num_queries=256):
    """Mean error of the drift estimated from `num_samples` samples."""
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


def perturbed(kind, amount):
    """The mixture p with perturbed modes; an amount of 0 changes nothing."""
    angles = np.pi / 2 * np.arange(4)
    if kind == "rotated":
        return GaussianMixture(_circle(angles + amount), stds=0.3)
    if kind == "shifted":
        return GaussianMixture(np.add(_circle(angles), [amount, 0.0]), stds=0.3)
    if kind == "widened":
        return GaussianMixture(_circle(angles), stds=0.3 * (1 + amount))
    weights = 1 + amount * np.array([1.0, -1.0, 1.0, -1.0])
    return GaussianMixture(_circle(angles), stds=0.3, weights=weights)


def exact_norm(kind, amount, num_queries=4000):
    """Root mean square length of the exact drift, under both densities."""
    p, q = perturbed(kind, 0.0), perturbed(kind, amount)
    rng = np.random.default_rng(0)
    x = np.concatenate([m.sample(num_queries // 2, rng) for m in (p, q)])
    lengths = np.linalg.norm(exact_drift(p, q, x), axis=1)
    return float(np.sqrt(np.mean(lengths**2)))


def slope(sizes, errors):
    """Least-squares slope of `log(errors)` against `log(sizes)`."""
    return float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def measure_convergence(args):
    """The mean error for each number of samples, averaged over seeds."""
    print(" samples  mean error  std of seeds")
    means = []
    for size in args.sizes:
        errors = [mean_error(size, args.seed + i) for i in range(args.seeds)]
        means.append(float(np.mean(errors)))
        print(f"{size:8,}  {means[-1]:10.2e}  {np.std(errors):12.1e}")
    return means


def plot_fields(axis):
    """Plots the estimated drift over the exact one."""
    p, q = mixtures()
    rng = np.random.default_rng(0)
    x = np.stack(
        np.meshgrid(*[np.linspace(-1.8, 1.8, 15)] * 2), axis=-1
    ).reshape(-1, 2)
    samples = [ops.convert_to_tensor(m.sample(20_000, rng)) for m in (p, q)]
    drift = KernelDrift(
        Gaussian(BANDWIDTH),
        self_interaction="independent",
        block_size=(len(x), 20_000),
    )
    found = ops.convert_to_numpy(drift(x, *samples))
    exact = exact_drift(p, q, x)
    style = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.004}
    axis.quiver(*x.T, *exact.T, color="0.7", label="score difference", **style)
    axis.quiver(
        *x.T, *found.T, color="C0", label="drift, 20,000 samples", **style
    )
    axis.set(title="drift and score difference", aspect="equal")
    axis.legend(fontsize=8, loc="upper right")


def main():
    parser = common.parser(__doc__.splitlines()[0], seeds=16)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=list(SIZES), help="of samples"
    )
    args = parser.parse_args()
    means = measure_convergence(args)
    rate = slope(args.sizes, means)
    print(f"slope of log(error): {rate:.3f} (bar: -0.5 +- 0.05)")
    print(
        f"mean error at {args.sizes[-1]:,} samples: {means[-1]:.2e} "
        "(bar: 4.9e-3 at 50,000)"
    )

    figure, axes = plt.subplots(1, 3, figsize=(15, 4.5), layout="constrained")
    plot_fields(axes[0])
    axes[1].loglog(args.sizes, means, "o-", label="measured")
    guide = means[0] * np.sqrt(args.sizes[0] / np.array(args.sizes))
    axes[1].loglog(args.sizes, guide, "k:", label="inverse root of N")
    axes[1].set(title="mean error of the drift", xlabel="number of samples N")
    axes[1].legend()
    amounts = np.linspace(0, 0.5, 11)
    norms = {
        kind: [exact_norm(kind, amount) for amount in amounts]
        for kind in ("rotated", "shifted", "widened", "reweighted")
    }
    for kind, values in norms.items():
        axes[2].plot(amounts, values, "o-", label=kind)
    axes[2].set(title="norm of the drift", xlabel="perturbation of q")
    axes[2].legend()
    equal = max(values[0] for values in norms.values())
    least = min(values[1] for values in norms.values())
    print(
        f"norm of the drift where q is p: {equal:.1e}; after the smallest "
        f"perturbation of any kind: at least {least:.1e}"
    )
    numbers = {
        "sizes": args.sizes,
        "mean_error": means,
        "slope": rate,
        "amounts": amounts.tolist(),
        "norms": norms,
    }
    common.write(args, "score_identity", figure, numbers)


if __name__ == "__main__":
    main()
