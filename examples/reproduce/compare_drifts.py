"""Compares all drifts on all toy distributions.

    python examples/reproduce/compare_drifts.py
    python examples/reproduce/compare_drifts.py --drifts sinkhorn mmd

All use the same network, data, batches and number of steps; bandwidths are
annealed. The table shows the sliced Wasserstein distance to held-out data
divided by its floor (1 is perfect), the coverage, which is the fraction of the
data with a generated sample nearby (97% for data), and the time per step. Each
drift should reach a ratio of 1.5 on at least one toy. All of it takes about an
hour on two cores, one toy ten minutes: `--toys checkerboard`.
"""

import math
import os
import tempfile
import time

# Programs compiled for one toy are reused for the others.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    os.path.join(tempfile.gettempdir(), "keras_drift_programs"),
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")

import common
import keras
import matplotlib.pyplot as plt
import numpy as np

import keras_drift as kd
from keras_drift import drifts
from keras_drift import energies
from keras_drift import kernels

BATCH_SIZE = 512
NUM_SAMPLES = 2000
# The initial and the final bandwidth.
WIDE, NARROW = 0.6, 0.15


def kernel_drift(**options):
    return drifts.KernelDrift(kernels.Laplacian(WIDE), **options)


# For each name: a function that makes the drift, and whether its bandwidth is
# annealed. A third entry is the step size, larger for energies whose gradients
# are small near the data.
OPERATORS = {
    "kernel": (kernel_drift, True),
    "kernel_gaussian": (
        lambda: drifts.KernelDrift(kernels.Gaussian(WIDE)),
        True,
    ),
    "kernel_dual": (
        lambda: drifts.KernelDrift(
            kernels.Laplacian([0.05, 0.1, 0.3]), normalization="dual"
        ),
        False,
    ),
    "kernel_sharp": (lambda: kernel_drift(normalization="sharp"), True),
    "kernel_score": (lambda: kernel_drift(normalization="score"), True),
    "kernel_corrected": (
        lambda: kernel_drift(
            normalization=drifts.normalizations.Row(bias_correction=True)
        ),
        True,
    ),
    "sinkhorn": (lambda: drifts.SinkhornDrift(blur=0.22), False),
    "sliced_wasserstein": (
        lambda: drifts.SlicedWassersteinDrift(self_interaction="independent"),
        False,
    ),
    "energy_distance": (drifts.EnergyDistanceDrift, False, 3.0),
    "mmd": (
        lambda: drifts.MMDDrift(kernels.Laplacian([0.3, 1.0, 3.0])),
        False,
    ),
    "kl_pq": (
        lambda: drifts.FDivergenceDrift("kl_pq", kernels.Gaussian(WIDE)),
        True,
    ),
    "chi2": (
        lambda: drifts.FDivergenceDrift("chi2", kernels.Gaussian(WIDE)),
        True,
    ),
    "jensen_shannon": (
        lambda: drifts.FDivergenceDrift(
            "jensen_shannon", kernels.Gaussian(WIDE)
        ),
        True,
    ),
    "sum": (
        lambda: drifts.Sum([drifts.EnergyDistanceDrift(), kernel_drift()]),
        False,
    ),
    "lookahead": (lambda: drifts.Lookahead(kernel_drift()), True),
    "variational": (
        lambda: drifts.VariationalDrift(energies.MMD("negative_distance")),
        False,
        3.0,
    ),
}


def learn(name, toy, args):
    """Trains on a toy; returns generated samples and measurements."""
    keras.utils.set_random_seed(args.seed)
    make, annealed, *step_size = OPERATORS[name]
    callbacks = []
    if annealed:
        schedule = kd.schedules.ExponentialAnnealing(
            WIDE, NARROW, rate=math.log(WIDE / NARROW) / (0.7 * args.steps)
        )
        callbacks.append(kd.callbacks.BandwidthAnnealing(schedule))
    sample = kd.datasets.TOYS[toy]
    clock = Clock()
    model, _ = common.train(
        make(),
        sample(BATCH_SIZE * 50, seed=args.seed),
        args.steps,
        BATCH_SIZE,
        learning_rate=1e-2,
        averaged=True,
        seed=args.seed,
        callbacks=[*callbacks, clock],
        step_size=step_size[0] if step_size else 1.0,
    )
    samples = model.generate(NUM_SAMPLES, seed=0, batch_size=2048)
    return samples, {
        "over_floor": common.over_floor(model, sample, NUM_SAMPLES),
        "coverage": coverage(samples, sample(NUM_SAMPLES, seed=1000)),
        "seconds_per_step": clock.seconds_per_step(),
    }


class Clock(keras.callbacks.Callback):
    """Measures the time per step, without compilation."""

    def on_train_begin(self, logs=None):
        self.times = []

    def on_train_batch_end(self, batch, logs=None):
        self.times.append(time.perf_counter())

    def seconds_per_step(self):
        """The median."""
        return float(np.median(np.diff(self.times)))


def coverage(samples, data, neighbors=5):
    """Fraction of the data with a sample among its nearest neighbors.

    Naeem et al., 2020, arXiv 2002.09797.
    """

    def distances(to):
        return np.linalg.norm(data[:, None] - to[None], axis=-1)

    # The nearest neighbor of a data point is the point itself.
    radius = np.sort(distances(data), axis=1)[:, neighbors]
    return float(np.mean(distances(samples).min(axis=1) <= radius))


def print_table(numbers, toys):
    print(f"\n{'distance over floor':20s}", *(f"{t[:15]:>16s}" for t in toys))
    for name, found in numbers.items():
        cells = [found[toy]["over_floor"] for toy in toys]
        best = min(cells)
        print(
            f"{name:20s}",
            *(f"{cell:16.2f}" for cell in cells),
            f"   best {best:.2f}{'' if best <= 1.5 else ', above 1.5'}",
        )
    print(
        f"\n{'coverage':20s}", *(f"{t[:15]:>16s}" for t in toys), "   ms/step"
    )
    for name, found in numbers.items():
        cells = [found[toy]["coverage"] for toy in toys]
        times = [found[toy]["seconds_per_step"] for toy in toys]
        print(
            f"{name:20s}",
            *(f"{cell:16.0%}" for cell in cells),
            f"{1e3 * np.median(times):10.1f}",
        )


def main():
    parser = common.parser(__doc__.splitlines()[0], steps=4000)
    parser.add_argument(
        "--drifts", nargs="+", choices=OPERATORS, default=list(OPERATORS)
    )
    toys = list(kd.datasets.TOYS)
    parser.add_argument("--toys", nargs="+", choices=toys, default=toys)
    args = parser.parse_args()
    numbers = {name: {} for name in args.drifts}
    figure, axes = plt.subplots(
        len(args.drifts),
        len(args.toys),
        figsize=(2.2 * len(args.toys), 2.3 * len(args.drifts)),
        layout="constrained",
        squeeze=False,
    )
    for row, name in zip(axes, args.drifts, strict=True):
        for axis, toy in zip(row, args.toys, strict=True):
            samples, found = learn(name, toy, args)
            numbers[name][toy] = found
            title = f"{name}: {found['over_floor']:.2f}"
            common.scatter(axis, samples, title)
            print(name, toy, found, flush=True)
    print_table(numbers, args.toys)
    common.write(args, "compare_drifts", figure, numbers)


if __name__ == "__main__":
    main()
