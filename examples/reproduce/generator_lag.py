"""Lag of a generator: the training steps until it follows a frozen field.

The claim (spectral bias, arXiv 1806.08734): a network learns low frequencies
first. Particles follow a frozen field in one step whatever its frequency; a
generator takes several, and more of them for finer waves. A plan of annealed
bandwidths must allow for that.

    python examples/reproduce/generator_lag.py

A generator is trained on a toy, as in `examples/toy_2d.py`. From there it is
regressed onto its own samples, moved by a field of waves of one frequency `k`
and by the field of a batch of data, which is noise here: both are computed for
the trained generator and then frozen. The response is the share of the waves
by which its samples have moved along them after `n` steps; the lag is the `n`
at which it is `1 - 1/e`. Two runs with opposite waves and the same noise
are subtracted, so that what the noise does to both cancels.

A mode that decays at `rate(bandwidth)` per step in particles decays at about
`rate(bandwidth) / lag` in a generator. The sum of this over the steps of
`spectral.plan_training` tells by how many powers of e a plan reduces the error
of each frequency: while the bandwidths shrink, and at the final ones.
"""

import itertools

import common
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import ops

import keras_drift as kd
from keras_drift import backend
from keras_drift import spectral

BATCH_SIZE = 512
NUM_SAMPLES = 4096  # of which the response is the mean
# The gradient of the displacement, which also is the relative change of the
# density: small, so that the response is linear.
AMPLITUDE = 0.3
NUM_DIRECTIONS = 4
FOLLOWED = 1 - np.exp(-1)
# Each optimizer with the peak of its learning rate in training; the lag is
# measured at half of it.
OPTIMIZERS = {
    "Adam": (keras.optimizers.Adam, 3e-3),
    "Muon": (keras.optimizers.Muon, 1e-2),
}


def pretrained(optimizer, peak, data, plan, seed):
    """A generator trained with the plan, and its drift at the end of it."""
    generator = common.crisp_network()
    drift = kd.drifts.KernelDrift(plan.kernel)
    model = kd.DriftModel(generator, drift, seed=seed)
    rate = keras.optimizers.schedules.CosineDecay(peak, plan.num_steps, 0.01)
    model.compile(optimizer(rate))
    model.fit(
        data,
        batch_size=BATCH_SIZE,
        epochs=plan.num_steps // (len(data) // BATCH_SIZE),
        verbose=0,
        callbacks=[kd.callbacks.BandwidthAnnealing(plan)],
    )
    drift.anneal(plan.schedule.final)
    return generator, drift


class Waves:
    """A field of waves of one frequency, in several directions."""

    def __init__(self, frequency, seed):
        rng = np.random.default_rng(seed)
        angles = np.pi * (np.arange(NUM_DIRECTIONS) + rng.random())
        angles = angles / NUM_DIRECTIONS
        self.directions = np.stack([np.cos(angles), np.sin(angles)])
        self.phases = 2 * np.pi * rng.random(NUM_DIRECTIONS)
        self.frequency = frequency

    def __call__(self, x):
        waves = np.cos(self.frequency * x @ self.directions + self.phases)
        scale = AMPLITUDE / self.frequency / np.sqrt(NUM_DIRECTIONS)
        return (scale * waves @ self.directions.T).astype("float32")


class Lag:
    """Responses of a generator to frozen fields, by frequency."""

    def __init__(self, generator, drift, optimizer, data, num_steps, seed):
        self.generator = generator
        self.num_steps = num_steps
        self.at = np.unique(np.geomspace(1, num_steps, 12).astype(int))
        count = num_steps * BATCH_SIZE
        self.inputs = generator.sample_inputs(count, seed=seed)
        self.held_out = generator.sample_inputs(NUM_SAMPLES, seed=seed + 1)
        generator.compile(optimizer, "mse")
        noise = self._field_of_batches(drift, data, self._generate(self.inputs))
        # The averages of the optimizer settle before the measurement starts.
        self._fit(self._generate(self.inputs) + noise)
        self.state = [ops.convert_to_numpy(v) for v in self._variables()]
        self.samples = self._generate(self.inputs)
        noise = self._field_of_batches(drift, data, self.samples)
        self.targets = self.samples + noise

    def _variables(self):
        return [*self.generator.variables, *self.generator.optimizer.variables]

    def _generate(self, inputs):
        return self.generator.predict(inputs, batch_size=NUM_SAMPLES, verbose=0)

    def _field_of_batches(self, drift, data, samples):
        velocity = backend.jit(
            lambda x, y: drift(x, y, x), list(drift.variables)
        )
        batches = samples.reshape(self.num_steps, BATCH_SIZE, 2)
        data = data.reshape(-1, BATCH_SIZE, 2)
        fields = [
            ops.convert_to_numpy(velocity(x, data[i % len(data)]))
            for i, x in enumerate(batches)
        ]
        return np.concatenate(fields)

    def _fit(self, targets, start=0, stop=None):
        part = slice(start * BATCH_SIZE, stop and stop * BATCH_SIZE)
        self.generator.fit(
            {name: values[part] for name, values in self.inputs.items()},
            targets[part],
            batch_size=BATCH_SIZE,
            shuffle=False,
            verbose=0,
        )

    def _reset(self):
        for variable, value in zip(self._variables(), self.state, strict=True):
            variable.assign(value)

    def _run(self, targets):
        """Held-out samples after each number of steps of `self.at`."""
        self._reset()
        found = []
        for start, stop in itertools.pairwise([0, *self.at]):
            self._fit(targets, start, stop)
            found.append(self._generate(self.held_out))
        return np.stack(found)

    def responses(self, frequency, seed):
        """The share of the waves that is followed, by number of steps."""
        waves = Waves(frequency, seed)
        field = waves(self.samples)
        self._reset()
        held_out = waves(self._generate(self.held_out))
        along = self._run(self.targets + field)
        against = self._run(self.targets - field)
        moved = (along - against) / 2
        return np.sum(moved * held_out, axis=(1, 2)) / np.sum(held_out**2)


def lag(steps, responses):
    """The step at which the generator has followed; `inf` if it never has."""
    steps = np.concatenate([[0], steps])
    responses = np.concatenate([[0.0], responses])
    if responses.max() < FOLLOWED:
        return np.inf
    after = np.argmax(responses >= FOLLOWED)
    before = responses[after - 1]
    share = (FOLLOWED - before) / (responses[after] - before)
    return steps[after - 1] + share * (steps[after] - steps[after - 1])


def particle_damping(plan, frequencies):
    """Log-damping of each mode: by the annealed steps, and by the others.

    Returns:
        An array `(2, frequencies)`.
    """
    kernel = plan.kernel
    initial = plan.schedule.initial
    damping = np.zeros((2, len(frequencies)))
    for step in range(plan.num_steps):
        bandwidth = float(plan.schedule(step))
        # A narrower kernel has the rates of a lower frequency.
        scaled = frequencies * bandwidth / initial
        rates = spectral.dispersion(kernel, scaled, dim=2).mean(axis=0)
        is_final = bandwidth <= plan.schedule.final * (1 + 1e-6)
        damping[int(is_final)] += rates
    return damping


def report(name, frequencies, lags, damping, num_steps):
    """Prints the lags and the e-folds; returns both as numbers."""
    # Where a generator has not followed, its lag is at least all the steps.
    folds = damping / np.minimum(lags, num_steps)
    print(f"{name}: e-folds by the plan, of particles and of the generator")
    print("       k   lag in steps   particles   annealed   final   together")
    particles = damping.sum(axis=0)
    for row in zip(frequencies, lags, particles, *folds, strict=True):
        k, steps, moved, annealed, final = row
        late = np.isinf(steps)
        steps = f"over {num_steps}" if late else f"{steps:.1f}"
        print(
            f"{k:8.2f} {steps:>14} {moved:11.1f} {annealed:10.2f} "
            f"{final:7.2f} {annealed + final:10.2f}"
            + (" at most" if late else "")
        )
    numbers = {
        "lags": finite(lags),
        "e_folds_of_particles": particles.tolist(),
        "e_folds_annealed": folds[0].tolist(),
        "e_folds_at_the_final_bandwidths": folds[1].tolist(),
    }
    return numbers, folds


def plot(axes, frequencies, found):
    curves, lags, folds = axes
    for style, (name, (steps, responses, slow, e_folds)) in zip(
        ("-", "--"), found.items(), strict=False
    ):
        for i in (0, len(frequencies) - 1):
            label = f"{name}, k = {frequencies[i]:.2g}"
            curves.semilogx(steps, responses[i], style, label=label)
        lags.loglog(frequencies, slow, f"o{style}", label=name)
        folds.semilogx(
            frequencies, e_folds.sum(axis=0), f"o{style}", label=name
        )
        folds.semilogx(
            frequencies, e_folds[0], f"x{style}", label=f"{name}, annealed part"
        )
    curves.axhline(FOLLOWED, color="0.7", lw=1)
    curves.set(xlabel="steps", title="share of the field that is followed")
    lags.axhline(1.0, color="0.7", label="particles")
    lags.set(xlabel="frequency k", title="lag in steps")
    lags.minorticks_off()
    lags.set_xticks(frequencies, [f"{k:.2g}" for k in frequencies])
    folds.axhline(np.log(100), color="0.7", label="error of 1%")
    folds.set(xlabel="frequency k", title="e-folds by plan_training")
    for axis in axes:
        axis.legend(fontsize=8)


def finite(values):
    """Numbers as JSON values; those that are infinite are `null`."""
    return [float(v) if np.isfinite(v) else None for v in values]


def main():
    args = common.parser(
        __doc__.splitlines()[0], steps=100, train_steps=800, frequencies=4
    ).parse_args()
    keras.utils.set_random_seed(args.seed)
    data = kd.datasets.checkerboard(20 * BATCH_SIZE, seed=args.seed)
    plan = spectral.plan_training(data, args.train_steps)
    frequencies = np.geomspace(plan.k_min, plan.k_max, args.frequencies)
    damping = particle_damping(plan, frequencies)
    found, numbers = {}, {"frequencies": frequencies.tolist()}
    for name, (optimizer, peak) in OPTIMIZERS.items():
        generator, drift = pretrained(optimizer, peak, data, plan, args.seed)
        measured = Lag(
            generator, drift, optimizer(peak / 2), data, args.steps, args.seed
        )
        responses = [measured.responses(k, args.seed) for k in frequencies]
        lags = np.array([lag(measured.at, each) for each in responses])
        numbers[name], folds = report(
            name, frequencies, lags, damping, args.steps
        )
        numbers[name]["last_responses"] = [float(r[-1]) for r in responses]
        found[name] = measured.at, responses, lags, folds
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    plot(axes, frequencies, found)
    common.write(args, "generator_lag", figure, numbers)


if __name__ == "__main__":
    main()
