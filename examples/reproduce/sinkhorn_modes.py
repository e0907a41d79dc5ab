"""Mode coverage: a narrow kernel loses modes, optimal transport keeps them.

The claim (arXiv 2603.12366): a sample interacts only with the data within reach
of its kernel, so with a small bandwidth some modes never receive samples. A
transport plan has to give every data point its mass, however far, so all modes
are kept.

    python examples/reproduce/sinkhorn_modes.py

Both drifts use the kernel `exp(-distance / bandwidth)` and the same network,
data, batches and steps; `SinkhornDrift` also imposes the marginal constraint
that every data point receives its mass. Both toys have eight modes of equal
weight. A mode counts as kept if it holds at least a quarter of its share, an
eighth of all samples: within three standard deviations of a Gaussian, or inside
a square of the checkerboard.
"""

import common
import keras
import matplotlib.pyplot as plt
import numpy as np

import keras_drift as kd

# Small enough for the kernel drift to lose modes.
BANDWIDTHS = {"eight_gaussians": 0.02, "checkerboard": 0.01}
NUM_MODES = 8
BATCH_SIZE = 256
KEPT = 0.25  # of the share of a mode
DRIFTS = {
    "kernel": lambda bandwidth: kd.drifts.KernelDrift(
        kd.kernels.Laplacian(bandwidth), self_interaction="independent"
    ),
    "Sinkhorn": lambda bandwidth: kd.drifts.SinkhornDrift(
        bandwidth,
        cost="distance",
        num_steps=5,
        self_interaction="independent",
    ),
}


def close_to_gaussians(samples):
    """Membership of samples in modes, a bool array `(n, NUM_MODES)`."""
    ring = kd.datasets.GaussianMixture.ring(NUM_MODES)
    distances = np.linalg.norm(samples[:, None] - ring.means, axis=-1)
    return distances <= 3 * ring.stds


def close_to_squares(samples):
    """The same for the dark squares of the checkerboard."""
    corners = np.mgrid[-2:2, -2:2].reshape(2, -1).T
    dark = corners[corners.sum(axis=1) % 2 == 0]
    return np.all(np.floor(samples)[:, None] == dark, axis=-1)


CLOSE = {
    "eight_gaussians": close_to_gaussians,
    "checkerboard": close_to_squares,
}


def shares(toy, samples):
    """Mass of each mode relative to its share, `(NUM_MODES,)`."""
    return NUM_MODES * np.mean(CLOSE[toy](samples), axis=0)


def learn(toy, name, seed, args):
    """Trains once; returns generated samples and measurements."""
    keras.utils.set_random_seed(seed)
    make = kd.datasets.TOYS[toy]
    model, seconds = common.train(
        DRIFTS[name](BANDWIDTHS[toy]),
        make(BATCH_SIZE * 100, seed=seed),
        args.steps,
        BATCH_SIZE,
        learning_rate=1e-2,
        averaged=True,
        seed=seed,
    )
    samples = model.generate(args.samples, seed=seed, batch_size=8192)
    held = shares(toy, samples)
    return samples, {
        "modes": int(np.sum(held >= KEPT)),
        "shares": held.tolist(),
        "over_floor": common.over_floor(model, make, args.samples),
        "seconds": seconds,
    }


def plot(axis, toy, samples, title):
    """Plots samples, with a circle around every lost mode."""
    held = shares(toy, samples)
    kept = int(np.sum(held >= KEPT))
    common.scatter(axis, samples, f"{title}: {kept} of {NUM_MODES} modes")
    reference = kd.datasets.TOYS[toy](5000, seed=0)
    close = CLOSE[toy](reference)
    for mode in np.flatnonzero(held < KEPT):
        center = reference[close[:, mode]].mean(axis=0)
        axis.plot(*center, "o", color="C3", ms=30, fillstyle="none")


def main():
    args = common.parser(
        __doc__.splitlines()[0], steps=5000, seeds=1, samples=5000
    ).parse_args()
    figure, axes = plt.subplots(2, 3, figsize=(12, 8), layout="constrained")
    numbers = {}
    for row, toy in zip(axes, CLOSE, strict=True):
        data = kd.datasets.TOYS[toy](args.samples, seed=args.seed)
        plot(row[0], toy, data, f"{toy}, data")
        numbers[toy] = {}
        for axis, name in zip(row[1:], DRIFTS, strict=True):
            runs = [
                learn(toy, name, args.seed + i, args) for i in range(args.seeds)
            ]
            plot(axis, toy, runs[0][0], name)
            found = [run for _, run in runs]
            numbers[toy][name] = found
            bar = "all 8" if name == "Sinkhorn" else "below 8"
            print(
                f"{toy}, {name}: keeps {[run['modes'] for run in found]} of "
                f"{NUM_MODES} modes (bar: {bar}), smallest relative mass "
                f"{min(min(run['shares']) for run in found):.2f}, sliced "
                "Wasserstein distance divided by its floor "
                f"{[round(run['over_floor'], 2) for run in found]}"
            )
    common.write(args, "sinkhorn_modes", figure, numbers)


if __name__ == "__main__":
    main()
