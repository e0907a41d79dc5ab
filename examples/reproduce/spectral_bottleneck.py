"""Spectral bottleneck: convergence time of each frequency, by schedule.

The claim (arXiv 2603.09936): near the data every frequency `k` of the error
decays independently. The time this takes is exponential in `k**2` with a fixed
Gaussian, a power of `k` with a fixed Laplacian, and logarithmic in `k` with a
bandwidth that is annealed exponentially.

    python examples/reproduce/spectral_bottleneck.py

The data are a uniform grid on a circle of length 2 pi, the particles the same
grid, displaced by a small wave of every frequency. `KernelDrift` moves them;
the amplitude of each frequency in their density is recorded until it has
decayed to `TOLERANCE`, and compared with `spectral.convergence_time`, which is
for infinitely small steps; finite ones are a few percent faster.
"""

import functools

import common
import keras
import matplotlib.pyplot as plt
import numpy as np

import keras_drift as kd
from keras_drift import backend
from keras_drift import spectral

TOLERANCE = 0.01
STEP_SIZE = 0.125
BANDWIDTH = 0.25  # of the fixed kernels
AMPLITUDE = 0.003  # of every wave, relative to the density
ANNEALED = ("exponential", "linear", "cosine")
# The circle as a periodic line: the widest kernel reaches two periods to either
# side.
PERIODS = 2 * np.pi * np.arange(-2, 3)

predicted_steps = functools.partial(
    spectral.convergence_time,
    dim=1,
    tolerance=TOLERANCE,
    step_size=STEP_SIZE,
)


class Circle:
    """Particles on a circle that move along a drift.

    Args:
        kernel: `Kernel` of a `KernelDrift`.
        num_particles: int.
        frequencies: int array, the waves that displace the particles.
        seed: int, of their phases.
        step_size: float, the share of the velocity that a step moves.
        weights: floats, the `bandwidth_weights` of the drift, or `None`.
    """

    def __init__(
        self,
        kernel,
        num_particles,
        frequencies,
        seed,
        step_size=STEP_SIZE,
        weights=None,
    ):
        self.drift = kd.drifts.KernelDrift(
            kernel, self_interaction="included", bandwidth_weights=weights
        )
        self.step_size = step_size
        self.frequencies = frequencies
        self.grid = 2 * np.pi * np.arange(num_particles)[:, None]
        self.grid = self.grid / num_particles
        phases = (
            2 * np.pi * np.random.default_rng(seed).random(frequencies.size)
        )
        waves = np.sin(self.grid * frequencies + phases) / frequencies
        self.displacements = (AMPLITUDE * waves.sum(axis=1)).astype("float32")
        # Displacements between all grid points, `(n, periods * n)`.
        to = (PERIODS[:, None] + self.grid[:, 0]).reshape(-1)
        self.between = (to - self.grid).astype("float32")
        self.moved = backend.jit(self._moved, list(self.drift.variables))

    def _moved(self, displacements):
        # Every particle is the origin of its own group, with all data and all
        # particles as points: float32 resolves small differences there.
        data = keras.ops.subtract(self.between, displacements[:, None])
        particles = data + keras.ops.tile(displacements, (len(PERIODS),))
        velocity = self.drift(
            keras.ops.zeros((len(self.grid), 1, 1)),
            data[..., None],
            negatives=particles[..., None],
        )
        return displacements + self.step_size * velocity[:, 0, 0]

    def amplitudes(self):
        """The amplitude of each frequency in the density of the particles."""
        displacements = keras.ops.convert_to_numpy(self.displacements)
        positions = self.grid + displacements[:, None].astype("float64")
        waves = np.exp(-1j * positions * self.frequencies)
        return 2 * np.abs(waves.mean(axis=0))

    def run(self, schedule, num_steps, at_least):
        """Amplitudes over the initial ones, `(steps + 1, frequencies)`."""
        records = [self.amplitudes()]
        for step in range(num_steps):
            if step >= at_least and np.all(
                records[-1] <= TOLERANCE * records[0]
            ):
                break
            if schedule is not None:
                self.drift.anneal(schedule(step))
            self.displacements = self.moved(self.displacements)
            records.append(self.amplitudes())
        return np.array(records) / records[0]


def settings(plan):
    """A dict from names to a kernel and a bandwidth schedule."""
    wide, narrow = plan.schedule.initial, plan.schedule.final
    schedules = keras.optimizers.schedules
    shapes = (
        plan.schedule,
        schedules.PolynomialDecay(wide, plan.num_steps, narrow),
        schedules.CosineDecay(wide, plan.num_steps, alpha=narrow / wide),
    )
    found = {
        "fixed Gaussian": (kd.kernels.Gaussian(BANDWIDTH), None),
        "fixed Laplacian": (kd.kernels.Laplacian(BANDWIDTH), None),
    }
    for name, schedule in zip(ANNEALED, shapes, strict=True):
        found[name] = (kd.kernels.Gaussian(wide), schedule)
    return found


def measured_steps(amplitudes):
    """The interpolated step at which each amplitude is at the tolerance."""
    done = amplitudes <= TOLERANCE
    after = np.argmax(done, axis=0)
    logs = np.log(amplitudes)
    modes = np.arange(logs.shape[1])
    fall = logs[after - 1, modes] - logs[after, modes]
    beyond = np.log(TOLERANCE) - logs[after, modes]
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = after - beyond / fall
    return np.where(done.any(axis=0), steps, np.inf)


def slope(x, y):
    """Slope and R^2 of a straight line through the points."""
    if x.size < 4:
        raise ValueError(
            "A law is fitted to at least four frequencies: use more `--steps` "
            f"or `--modes`. Received: {x.size} frequencies that converged"
        )
    return np.polyfit(x, y, 1)[0], np.corrcoef(x, y)[0, 1] ** 2


def laws(k, steps):
    """The exponents of the three laws, from the steps of each schedule."""
    gaussian, laplacian = steps["fixed Gaussian"], steps["fixed Laplacian"]
    annealed = steps["exponential"]
    # Above the peak of the rate, where higher frequencies are slower.
    fine = BANDWIDTH * k >= 2.5
    seen = fine & np.isfinite(gaussian)
    found = {
        # The time is `exp(exponent * k**2) / k**2`, up to a constant.
        "fixed Gaussian": (
            k[seen] ** 2,
            np.log(gaussian[seen] * k[seen] ** 2),
        ),
        "fixed Laplacian": (np.log(k[fine]), np.log(laplacian[fine])),
        # The schedule starts at the lowest frequencies.
        "exponential": (np.log(k[k >= 3]), annealed[k >= 3]),
    }
    found = {name: slope(*points) for name, points in found.items()}
    found["fixed Gaussian, without k^2"] = slope(
        k[seen] ** 2, np.log(gaussian[seen])
    )
    return found, k[seen]


def plot_decay(axes, k, amplitudes, predicted, num_steps):
    """Plots the amplitude of every frequency over time, by schedule."""
    for axis, (name, values) in zip(axes, amplitudes.items(), strict=True):
        values = np.maximum(values[: num_steps + 1], 1e-3)
        image = axis.pcolormesh(
            np.arange(len(values)),
            k,
            np.log10(values.T),
            cmap="magma",
            vmin=-3,
            vmax=0,
            shading="nearest",
            rasterized=True,
        )
        extent = 0, len(values) - 1, k[0], k[-1]
        axis.contour(values.T, [TOLERANCE], colors="w", extent=extent)
        axis.plot(predicted[name], k, "c--")
        axis.set(title=name, xlabel="step", xlim=(0, num_steps))
        axis.set(ylim=(k[0] - 0.5, k[-1] + 0.5), yticks=[1, 5, 10, 15, 20])
    axes[0].set_ylabel("frequency k")
    axes[0].plot([], [], "w", label=f"{TOLERANCE:.0%} left, measured")
    axes[0].plot([], [], "c--", label="predicted")
    axes[0].legend(facecolor="0.3", labelcolor="w", fontsize=8)
    bar = axes[0].figure.colorbar(image, ax=axes, ticks=[-3, -2, -1, 0])
    bar.ax.set_yticklabels(["0.1%", "1%", "10%", "100%"])
    bar.set_label("relative amplitude")


def plot_times(axes, k, measured, predicted, found):
    titles = {
        "fixed Gaussian": "fixed Gaussian: exp({0:.4f} k²) / k²",
        "fixed Laplacian": "fixed Laplacian: k to the {0:.2f}",
        "exponential": "exponential annealing: {0:.1f} log k",
    }
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        x = k**2 if name == "fixed Gaussian" else k
        axis.plot(x, predicted[name], "C0--", label="predicted")
        axis.plot(x, measured[name], "C3o", label="measured")
        axis.set_title(title.format(found[name][0]))
        axis.set_ylabel(f"steps to {TOLERANCE:.0%}")
        if name == "fixed Gaussian":
            axis.set(yscale="log", xlabel="k²")
            ticks = [5, 10, 13, 15, 17, 20]
            axis.set_xticks(np.square(ticks), [f"{n}²" for n in ticks])
        else:
            axis.set(xscale="log", xlabel="frequency k")
            axis.set_xticks([1, 2, 5, 10, 20], [1, 2, 5, 10, 20])
            axis.minorticks_off()
        if name == "fixed Laplacian":
            axis.set_yscale("log")
            axis.set_yticks([100, 200, 400], [100, 200, 400])
            axis.minorticks_off()
        axis.legend()


def report(k, amplitudes, measured, predicted, plan):
    """Prints measurements beside predictions; returns both as numbers."""
    found, seen = laws(k, measured)
    expected, _ = laws(k, predicted)
    limits = {
        "fixed Gaussian": BANDWIDTH**2 / 2,
        "fixed Gaussian, without k^2": BANDWIDTH**2 / 2,
        "fixed Laplacian": 2.0,
        "exponential": 1 / plan.schedule.rate,
    }
    units = {
        "fixed Gaussian": "steps k^2 = exp({} k^2), k = "
        f"{seen[0]} to {seen[-1]}",
        "fixed Gaussian, without k^2": "steps = exp({} k^2)",
        "fixed Laplacian": "steps = k^{}",
        "exponential": "steps = {} log k",
    }
    for name, unit in units.items():
        (value, fit), (theory, _) = found[name], expected[name]
        print(
            f"{name}: {unit.format(f'{value:.4g}')}, R^2 {fit:.4f} (predicted "
            f"{theory:.4g} for these frequencies, {limits[name]:.4g} in the "
            "limit)"
        )
    left = {n: float(a[plan.num_steps].max()) for n, a in amplitudes.items()}
    print(
        f"Relative amplitude of the slowest of k = 1 to {k[-1]} after "
        f"{plan.num_steps} steps (bar: {TOLERANCE:.0%} for exponential "
        "annealing, more for the others): "
        + ", ".join(f"{name} {value:.1%}" for name, value in left.items())
    )
    return {
        "laws": {
            name: {
                "measured": value,
                "r_squared": fit,
                "predicted": expected[name][0],
                "limit": limits[name],
            }
            for name, (value, fit) in found.items()
        },
        "left_after_the_plan": left,
        "num_steps_of_the_plan": plan.num_steps,
        "k": k.tolist(),
        "measured_steps": {n: finite(v) for n, v in measured.items()},
        "predicted_steps": {n: finite(v) for n, v in predicted.items()},
    }, found


def finite(steps):
    """Steps as JSON values; frequencies that did not converge are `null`."""
    return [float(s) if np.isfinite(s) else None for s in steps]


def main():
    args = common.parser(
        __doc__.splitlines()[0], particles=192, modes=20, steps=20000
    ).parse_args()
    k = np.arange(1, args.modes + 1)
    plan = spectral.plan_annealing(
        k_min=1.0,
        k_max=float(args.modes),
        tolerance=TOLERANCE,
        step_size=STEP_SIZE,
        verbose=False,
    )
    amplitudes, predicted = {}, {}
    for name, (kernel, schedule) in settings(plan).items():
        predicted[name] = predicted_steps(kernel, k, schedule=schedule)
        circle = Circle(kernel, args.particles, k, args.seed)
        num_steps = plan.num_steps if name in ANNEALED else args.steps
        amplitudes[name] = circle.run(schedule, num_steps, plan.num_steps)
    measured = {n: measured_steps(a) for n, a in amplitudes.items()}
    numbers, found = report(k, amplitudes, measured, predicted, plan)
    figure = plt.figure(figsize=(15, 7.5), layout="constrained")
    maps, times = figure.subfigures(2, 1)
    maps = maps.subplots(1, 5, sharey=True)
    plot_decay(maps, k, amplitudes, predicted, plan.num_steps)
    plot_times(times.subplots(1, 3), k, measured, predicted, found)
    common.write(args, "spectral_bottleneck", figure, numbers)


if __name__ == "__main__":
    main()
