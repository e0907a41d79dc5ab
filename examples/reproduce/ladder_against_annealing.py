"""Several bandwidths at once against annealing and a fixed Laplacian.

The claim: the fields of a few bandwidths, added with the weights of
`spectral.plan_bandwidths`, remove all frequencies at nearly one rate, so they
need fewer steps than an annealed Gaussian, which removes one frequency after
the other, and than the best fixed Laplacian, whose rates differ.

    python examples/reproduce/ladder_against_annealing.py

The particles on a circle of `spectral_bottleneck.py` are displaced by waves of
all frequencies `k`. In every step each drift removes the same share of the
frequency that it removes fastest (equal largest rate). A second ladder has the
unit of velocity instead, weights with the sum 1, as all other drifts have.
"""

import common
import matplotlib.pyplot as plt
import numpy as np
import spectral_bottleneck

import keras_drift as kd
from keras_drift import spectral

TOLERANCE = spectral_bottleneck.TOLERANCE
# The largest rate of a Gaussian, `2 / e`, times the step size of
# `spectral_bottleneck.py`.
RATE_PER_STEP = spectral_bottleneck.STEP_SIZE * 2 / np.e
# Of the range of frequencies over which a ladder is flat.
RATIO = 30.0


class Setting:
    """A drift, its schedule and step size.

    Args:
        kernel: `Kernel` with the initial bandwidths.
        weights: floats, one for each bandwidth, or `None`.
        schedule: from the step to the largest bandwidth, or `None`.
        step_size: float. Defaults to `None`: that of the largest rate.
    """

    def __init__(self, kernel, weights=None, schedule=None, step_size=None):
        self.kernel = kernel
        self.weights = weights
        self.schedule = schedule
        self.step_size = step_size or RATE_PER_STEP / self.rates(FINE).max()

    def rates(self, k):
        """The rates at the initial bandwidths, per unit of time."""
        rates = spectral.dispersion(self.kernel, k, dim=1)
        return rates if self.weights is None else self.weights @ rates

    def predicted_steps(self, k):
        return spectral_bottleneck.predicted_steps(
            self.kernel,
            k,
            schedule=self.schedule,
            step_size=self.step_size,
            weights=self.weights,
        )

    def measured_amplitudes(self, k, args):
        """Amplitudes over the initial ones, `(steps + 1, frequencies)`."""
        circle = spectral_bottleneck.Circle(
            self.kernel,
            args.particles,
            k,
            args.seed,
            self.step_size,
            self.weights,
        )
        return circle.run(self.schedule, args.steps, at_least=0)


# Wide enough for the largest rate of every setting.
FINE = np.geomspace(1e-2, 1e4, 4001)


def settings(k):
    """A `Setting` for each name."""
    ends = {"k_min": float(k[0]), "k_max": float(k[-1]), "verbose": False}
    plan = spectral.plan_bandwidths(**ends)
    heavy = spectral.plan_bandwidths(**ends, kernel="laplacian")
    # A Gaussian removes 2 / e of its fastest frequency per unit of time.
    annealing = spectral.plan_annealing(
        **ends, tolerance=TOLERANCE, step_size=RATE_PER_STEP * np.e / 2
    )
    return {
        "ladder of Gaussians": Setting(plan.kernel, plan.weights),
        "ladder, weights of sum 1": Setting(
            plan.kernel,
            plan.weights,
            step_size=spectral_bottleneck.STEP_SIZE / sum(plan.weights),
        ),
        "ladder of Laplacians": Setting(heavy.kernel, heavy.weights),
        "annealed Gaussian": Setting(
            kd.kernels.Gaussian(annealing.schedule.initial),
            schedule=annealing.schedule,
        ),
        "best fixed Laplacian": Setting(best_laplacian(k)),
    }


def best_laplacian(k):
    """The one whose slowest frequency is nearest to its fastest one."""
    bandwidths = np.geomspace(0.1 / k[-1], 10 / k[0], 801)
    kernel = kd.kernels.Laplacian(bandwidths.tolist())
    slowest = spectral.dispersion(kernel, k, dim=1).min(axis=1)
    fastest = spectral.dispersion(kernel, FINE, dim=1).max(axis=1)
    return kd.kernels.Laplacian(float(bandwidths[np.argmax(slowest / fastest)]))


def flat_ladder():
    """The flatness of a ladder, measured with a drift, and the deviation."""
    plan = spectral.plan_bandwidths(k_min=1.0, k_max=RATIO, verbose=False)
    k = np.geomspace(1.0, RATIO, 60)
    drift = kd.drifts.KernelDrift(plan.kernel, bandwidth_weights=plan.weights)
    measured = spectral.measure_decay(drift, k, dim=1)
    predicted = plan.weights @ spectral.dispersion(plan.kernel, k, dim=1)
    return {
        "bandwidths": plan.kernel.initial_bandwidth.tolist(),
        "weights": list(plan.weights),
        "predicted_flatness": plan.flatness,
        "measured_flatness": float(measured.max() / measured.min()),
        "largest_deviation": float(np.abs(measured / predicted - 1).max()),
    }


def report(found, flat):
    print(f"Steps until every frequency is below {TOLERANCE:.0%}:\n")
    print("| drift | fields | step size | predicted | measured |")
    print("|---|---|---|---|---|")
    for name, (setting, predicted, measured, _) in found.items():
        print(
            f"| {name} | {setting.kernel.num_bandwidths} | "
            f"{setting.step_size:.3f} | {predicted.max():.0f} | "
            f"{measured.max():.0f} |"
        )
    print(
        f"\nA ladder over a ratio of {RATIO:.0f}: the largest rate over the "
        f"smallest is {flat['measured_flatness']:.3f} (planned "
        f"{flat['predicted_flatness']:.3f}, bar 1.3), and rates are within "
        f"{100 * flat['largest_deviation']:.2g}% of the prediction (bar 5%)."
    )


def plot(k, found):
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.2), layout="constrained")
    rates, decay, times = axes
    fine = np.geomspace(0.3 * k[0], 3 * k[-1], 300)
    for color, (name, values) in enumerate(found.items()):
        setting, predicted, measured, amplitudes = values
        color = f"C{color}"
        if setting.schedule is None:
            per_step = setting.step_size * setting.rates(fine)
            rates.loglog(fine, per_step, color, label=name)
        decay.semilogy(amplitudes.max(axis=1), color, label=name)
        times.semilogx(k, predicted, color)
        times.semilogx(k, measured, "o", color=color, label=name)
    rates.axvspan(k[0], k[-1], color="0.92", zorder=0)
    rates.set(xlabel="frequency k", ylabel="rate per step")
    rates.set(title="rates of the fixed bandwidths", ylim=(1e-3, 0.2))
    decay.axhline(TOLERANCE, color="0.5", linewidth=1)
    decay.set(xlabel="step", ylabel="amplitude over the initial one")
    decay.set(title="slowest frequency", ylim=(0.5 * TOLERANCE, 2))
    times.set(xlabel="frequency k", ylabel=f"steps to {TOLERANCE:.0%}")
    times.set(title="steps: predicted (lines), measured (points)")
    times.set_xticks([1, 2, 5, 10, 20], [1, 2, 5, 10, 20])
    times.minorticks_off()
    for axis in axes:
        axis.legend(fontsize=8)
    return figure


def main():
    args = common.parser(
        __doc__.splitlines()[0], particles=384, modes=20, steps=1000
    ).parse_args()
    k = np.arange(1, args.modes + 1)
    found = {}
    for name, setting in settings(k).items():
        amplitudes = setting.measured_amplitudes(k, args)
        measured = spectral_bottleneck.measured_steps(amplitudes)
        predicted = setting.predicted_steps(k)
        found[name] = setting, predicted, measured, amplitudes
    flat = flat_ladder()
    report(found, flat)
    numbers = {
        name: {
            "num_fields": setting.kernel.num_bandwidths,
            "step_size": float(setting.step_size),
            "predicted_steps": spectral_bottleneck.finite(predicted),
            "measured_steps": spectral_bottleneck.finite(measured),
        }
        for name, (setting, predicted, measured, _) in found.items()
    }
    common.write(
        args,
        "ladder_against_annealing",
        plot(k, found),
        {"steps": numbers, "flat_ladder": flat},
    )


if __name__ == "__main__":
    main()
