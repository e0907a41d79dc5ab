"""Compares all drifts on all toy distributions, with planned bandwidths.

    python examples/reproduce/compare_drifts.py
    python examples/reproduce/compare_drifts.py --drifts sinkhorn mmd

All use the same network, optimizer, batches and number of steps, those of
`examples/toy_2d.py` with smaller batches, and nothing is chosen for a toy:
`spectral.plan_training` finds the bandwidths in the data. The table shows three
distances to held-out data divided by their floors (1 is perfect): precision,
the mean distance of a sample to its nearest datum, which blur raises; recall,
that of a datum to its nearest sample, which missing modes raise; and the sliced
Wasserstein distance. Drift and toy are trained one after the other, and each
result is kept in a file in `compare_drifts`: a run that was stopped continues.
All of it takes about an hour on one core.
"""

import json
import time

import common
import keras
import matplotlib.pyplot as plt
import numpy as np

import keras_drift as kd
from keras_drift import drifts
from keras_drift import energies
from keras_drift import spectral
from keras_drift.atomic_files import write_bytes

BATCH_SIZE = 512
NUM_SAMPLES = 4000
DRAWN = 1500  # of them in each picture
METRICS = {
    "precision": kd.metrics.nearest_neighbor_precision,
    "recall": kd.metrics.nearest_neighbor_recall,
    "sliced_wasserstein": kd.metrics.sliced_wasserstein,
}
# Above it blur is seen in the picture.
CRISP = 1.25


def kernel_drift(**options):
    return lambda plan: drifts.KernelDrift(plan.kernel, **options)


def f_divergence(name):
    return lambda plan: drifts.FDivergenceDrift(name, plan.kernel)


def sinkhorn(plan):
    # `exp(-cost / blur**2)` is a Gaussian with `blur` as its bandwidth.
    return drifts.SinkhornDrift(plan.kernel.initial_bandwidth.tolist())


def energy_and_kernel(plan):
    return drifts.Sum(
        [drifts.EnergyDistanceDrift(), drifts.KernelDrift(plan.kernel)]
    )


# For each name, a function from a plan to the drift, and the kernel that the
# plan is for: `None` where a drift has no bandwidth.
OPERATORS = {
    "kernel": (kernel_drift(), "laplacian"),
    "kernel_gaussian": (kernel_drift(), "gaussian"),
    "kernel_dual": (kernel_drift(normalization="dual"), "laplacian"),
    "kernel_sharp": (kernel_drift(normalization="sharp"), "laplacian"),
    "kernel_score": (kernel_drift(normalization="score"), "laplacian"),
    "kernel_corrected": (
        kernel_drift(
            normalization=drifts.normalizations.Row(bias_correction=True)
        ),
        "laplacian",
    ),
    "self_tuning": (lambda plan: drifts.SelfTuningDrift(), None),
    "self_tuning_symmetric": (
        lambda plan: drifts.SelfTuningDrift(symmetric=True),
        None,
    ),
    "sinkhorn": (sinkhorn, "gaussian"),
    "sliced_wasserstein": (
        # In the plane 32 directions are plenty, new ones in every step.
        lambda plan: drifts.SlicedWassersteinDrift(
            num_projections=32, self_interaction="independent"
        ),
        None,
    ),
    "energy_distance": (lambda plan: drifts.EnergyDistanceDrift(), None),
    "mmd": (
        lambda plan: drifts.MMDDrift(plan.kernel, unit_rms=True),
        "gaussian",
    ),
    "kl_pq": (f_divergence("kl_pq"), "gaussian"),
    "chi2": (f_divergence("chi2"), "gaussian"),
    "jensen_shannon": (f_divergence("jensen_shannon"), "gaussian"),
    "sum": (energy_and_kernel, "laplacian"),
    "lookahead": (
        lambda plan: drifts.Lookahead(drifts.KernelDrift(plan.kernel)),
        "laplacian",
    ),
    "variational": (
        lambda plan: drifts.VariationalDrift(energies.MMD("negative_distance")),
        None,
    ),
}
# Whose bandwidths are multiples of the mean distance by default.
RELATIVE = ("kernel_dual",)


def learn(name, toy, args):
    """Trains on a toy; returns the model and the seconds per step."""
    keras.utils.set_random_seed(args.seed)
    make, kernel = OPERATORS[name]
    data = kd.datasets.TOYS[toy](BATCH_SIZE * 100, seed=args.seed)
    plan, callbacks = None, [Clock()]
    if kernel is not None:
        plan = spectral.plan_training(
            data,
            args.steps,
            kernel=kernel,
            relative=name in RELATIVE,
            verbose=False,
        )
        callbacks.append(kd.callbacks.BandwidthAnnealing(plan))
    model, _ = common.train(
        make(plan),
        data,
        args.steps,
        BATCH_SIZE,
        learning_rate=1e-2,
        final_rate=0.01,
        averaged=True,
        optimizer=keras.optimizers.Muon,
        seed=args.seed,
        generator=common.crisp_network(),
        callbacks=callbacks,
    )
    return model, callbacks[0].seconds_per_step()


class Clock(keras.callbacks.Callback):
    """Measures the time of the processor per step, without compilation.

    Other work on the machine does not change it.
    """

    def on_train_begin(self, logs=None):
        self.times = []

    def on_train_batch_end(self, batch, logs=None):
        self.times.append(time.process_time())

    def seconds_per_step(self):
        """The median."""
        return float(np.median(np.diff(self.times)))


def result(name, toy, args):
    """Measurements and samples of a drift on a toy, from its file if kept."""
    settings = {
        "steps": args.steps,
        "seed": args.seed,
        "batch_size": BATCH_SIZE,
        "backend": keras.backend.backend(),
    }
    path = args.output / "compare_drifts" / f"{name}-{toy}.json"
    if path.exists():
        kept = json.loads(path.read_text())
        if kept["settings"] == settings:
            return kept
    model, seconds = learn(name, toy, args)
    found = {"settings": settings, "seconds_per_step": seconds}
    for metric, function in METRICS.items():
        found[metric] = common.over_floor(
            model, kd.datasets.TOYS[toy], NUM_SAMPLES, distance=function
        )
    samples = model.generate(DRAWN, seed=0, batch_size=8192)
    found["samples"] = np.round(samples, 4).tolist()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Complete or absent, also where the run is stopped.
    write_bytes(path, json.dumps(found).encode())
    return found


def print_table(numbers, toys):
    """Prints the distances over their floors, as a table in Markdown."""
    print("\nprecision / recall / sliced Wasserstein, over their floors\n")
    print("| drift |", " | ".join(toys), "| crisp | ms per step |")
    print("|---" * (len(toys) + 3) + "|")
    for name, found in numbers.items():
        cells = [
            " / ".join(f"{found[toy][metric]:.2f}" for metric in METRICS)
            for toy in toys
        ]
        crisp = sum(found[toy]["precision"] <= CRISP for toy in toys)
        times = [1e3 * found[toy]["seconds_per_step"] for toy in toys]
        print(
            f"| `{name}` |",
            " | ".join(cells),
            f"| {crisp} of {len(toys)} | {np.median(times):.0f} |",
        )


def draw(numbers, samples, toys):
    """A figure: data above, then the samples of each drift."""
    figure, axes = plt.subplots(
        1 + len(numbers),
        len(toys),
        figsize=(1.5 * len(toys), 1.6 * (1 + len(numbers))),
        layout="constrained",
        squeeze=False,
    )
    for column, toy in zip(axes.T, toys, strict=True):
        data = kd.datasets.TOYS[toy](DRAWN, seed=1000)
        common.scatter(column[0], data, toy.replace("_", " "))
        column[0].title.set_fontsize(8)
        for axis, name in zip(column[1:], numbers, strict=True):
            common.scatter(axis, samples[name][toy], "")
    for axis, label in zip(axes[:, 0], ["data", *numbers], strict=True):
        axis.set_ylabel(label.replace("_", " "), fontsize=8)
    return figure


def main():
    parser = common.parser(__doc__.splitlines()[0], steps=1000)
    parser.add_argument(
        "--drifts", nargs="+", choices=OPERATORS, default=list(OPERATORS)
    )
    toys = list(kd.datasets.TOYS)
    parser.add_argument("--toys", nargs="+", choices=toys, default=toys)
    args = parser.parse_args()
    numbers = {name: {} for name in args.drifts}
    samples = {name: {} for name in args.drifts}
    for toy in args.toys:
        for name in args.drifts:
            found = result(name, toy, args)
            samples[name][toy] = found.pop("samples")
            numbers[name][toy] = found
            shown = {metric: round(found[metric], 2) for metric in METRICS}
            milliseconds = 1e3 * found["seconds_per_step"]
            print(name, toy, shown, f"{milliseconds:.1f} ms", flush=True)
    print_table(numbers, args.toys)
    figure = draw(numbers, samples, args.toys)
    common.write(args, "compare_drifts", figure, numbers)


if __name__ == "__main__":
    main()
