"""Particles that follow a drift."""

import keras
import numpy as np
from keras import ops

from keras_drift import backend
from keras_drift import checks
from keras_drift import drifts
from keras_drift import energies
from keras_drift import extras
from keras_drift import images
from keras_drift import metrics as distances
from keras_drift.kept_values import kept
from keras_drift.own_arguments import all_plain_attributes
from keras_drift.schedules import schedule_value


class ParticleFlow:
    """Explicit Euler simulation of particles in the velocity field of a drift.

    Each step freezes the field, moves every particle by `step_size` along its
    velocity and computes the field again: the explicit form of the JKO scheme,
    and what training does when the generator fits its targets exactly. Choose
    it to see the effect of a drift or an energy, in seconds, before a generator
    is trained with it.

    Args:
        drift: a `Drift`, its name or its config.
        step_size: float > 0, the share of its velocity by which a particle
            moves. It may be changed between runs. Defaults to `0.1`.
        energy: an `energies.Energy` to record, its name or its config. Defaults
            to `None`: that of a `VariationalDrift`, otherwise none.
        metrics: dict from names to callables `(x, y) -> scalar`, distances to
            record; none is named `"step"`, `"drift_norm"` or `"energy"`.
            Defaults to `None`: `metrics.sliced_wasserstein`.
        schedule: callable from the number of the step to the bandwidth, as for
            `callbacks.BandwidthAnnealing`. The drift keeps the last one.
            Defaults to `None`: the bandwidth stays as it is.

    Attributes:
        history: dict of lists, what `run` recorded; empty before.
        snapshots: float32 array `(records, n, d)`, the recorded particles.
        positives: float32 array `(m, d)`, the data of the last run.

    Example:

    >>> from keras_drift import drifts, energies, flows
    >>> drift = drifts.VariationalDrift(energies.MMD("negative_distance"))
    >>> flow = flows.ParticleFlow(drift, step_size=1.0)
    >>> history = flow.run([[0.0, 0.0]], [[0.0, 4.0]], num_steps=2)
    >>> history["step"], history["energy"], flow.snapshots[-1].tolist()
    ([0, 1, 2], [4.0, 3.0, 2.0], [[0.0, 2.0]])

    Reference:

    - [Turan et al., 2026](https://arxiv.org/abs/2603.09936)
    """

    def __init__(
        self, drift, step_size=0.1, energy=None, metrics=None, schedule=None
    ):
        drift = drifts.get(drift)
        if drift.self_interaction == "independent":
            raise ValueError(
                "The particles are the only samples of a flow, so there are no "
                "independent negatives. Make the drift with "
                "self_interaction='included' or 'excluded'. Received: a "
                f"`{type(drift).__name__}` with self_interaction='independent'"
            )
        if schedule is not None:
            drift.check_annealable()
        if schedule is not None and not callable(schedule):
            raise TypeError(
                "`schedule` is a function from the step to the bandwidth: an "
                "`ExponentialAnnealing` or a Keras schedule. "
                f"Received: schedule={schedule!r}"
            )
        self.drift = drift
        self.step_size = checks.positive_number("step_size", step_size)
        if energy is None:
            energy = getattr(drift, "energy", None)
        self.energy = None if energy is None else energies.get(energy)
        if metrics is None:
            metrics = {"sliced_wasserstein": distances.sliced_wasserstein}
        self.metrics = _checked_metrics(metrics)
        self.schedule = schedule
        self.history = {}
        self.snapshots = self.positives = None
        self._compiled_for = self._step = self._measure = None

    def run(self, particles, positives, num_steps, record_every=1):
        """Simulates the flow and records its progress.

        Args:
            particles: float array `(n, d)`, the initial particles.
            positives: float array `(m, d)`, the data.
            num_steps: int >= 1.
            record_every: int >= 1, steps between records. The start and the end
                are always recorded. Defaults to `1`.

        Returns:
            dict of lists of numbers, one for each record: `"step"`;
            `"drift_norm"`, the root mean square length of the velocities, the
            mean over the bandwidths; `"energy"`, if there is one; and the
            metrics. It is the attribute `history` as well.
        """
        particles = self._check(particles, positives, num_steps, record_every)
        bandwidths = None
        if self.schedule is not None:
            bandwidths = [self.schedule(step) for step in range(num_steps + 1)]
            for step, value in enumerate(bandwidths):
                schedule_value.check("bandwidth", value, step, self.schedule)
        self._compile()
        names = ("step", "drift_norm", *self._names())
        self.history = {name: [] for name in names}
        snapshots = []
        for step in range(num_steps + 1):
            if bandwidths is not None:
                self.drift.anneal(bandwidths[step])
            # Of the field after the last step only the norm is recorded: it
            # leaves random states and shares of signal as they are.
            is_last = step == num_steps
            with kept(self.drift.variables if is_last else []):
                moved, norm = self._step(
                    particles, self.positives, self.step_size
                )
            if step % record_every == 0 or is_last:
                values = self._measure(particles, self.positives)
                row = (step, float(norm), *map(float, values))
                for name, value in zip(names, row, strict=True):
                    self.history[name].append(value)
                snapshots.append(ops.convert_to_numpy(particles))
            particles = moved
        self.snapshots = np.stack(snapshots)
        return self.history

    def animate(self, path, seconds=0.1):
        """Writes the recorded particles, drawn over the data, as a GIF.

        In two dimensions the particles are points, in one a histogram. Needs
        Matplotlib and Pillow: `pip install "keras-drift[examples]"`.

        Args:
            path: path of the file to write. It is complete or does not exist.
            seconds: float > 0, how long each record is shown. Defaults to
                `0.1`.
        """
        checks.positive_number("seconds", seconds)
        if self.snapshots is None:
            raise ValueError(
                "There is no record to draw yet: `run` the flow first. "
                "Received: snapshots=None"
            )
        dim = self.snapshots.shape[-1]
        if dim > 2:
            raise ValueError(
                "Only particles in one or two dimensions can be drawn. "
                f"Received: particles in {dim} dimensions"
            )
        draw = self._draw_histogram if dim == 1 else self._draw_points
        pictures = [_picture(draw, i, self._title(i)) for i in self._records()]
        images.write_gif(path, pictures, seconds)

    def _check(self, particles, positives, num_steps, record_every):
        """Sets `positives` and returns the particles, as arrays."""
        for name, points in (
            ("particles", particles),
            ("positives", positives),
        ):
            checks.no_masked_entries(name, points)
        particles, positives = (
            np.asarray(v, "float32") for v in (particles, positives)
        )
        checks.sets_of_samples(
            {"particles": particles.shape, "positives": positives.shape}
        )
        if particles.ndim != 2:
            raise ValueError(
                "A flow has one set of particles, `(n, d)`. "
                f"Received: particles.shape={particles.shape}"
            )
        given = {"particles": particles, "positives": positives}
        for name, points in given.items():
            if not np.isfinite(points).all():
                raise ValueError(
                    "The points of a flow are finite. Received: NaN or "
                    f"infinity in `{name}`"
                )
        checks.positive_integer("num_steps", num_steps)
        checks.positive_integer("record_every", record_every)
        self.positives = positives
        return particles

    def _compile(self):
        """Compiles the step and the records, again once anything has changed.

        A program holds what it was compiled from as constants.
        """
        parts = [self.drift, self.energy]
        current = (parts, [_inside(part) for part in parts], self.metrics)
        if self._compiled_for == current:
            return
        self._compiled_for = (*current[:2], dict(self.metrics))
        variables = {id(v): v for v in self.drift.variables}
        self._step = backend.jit(self._moved, list(variables.values()))
        if self.energy is not None:
            variables |= {id(v): v for v in self.energy.variables}
        self._measure = backend.jit(self._measured, list(variables.values()))

    def _moved(self, particles, positives, step_size):
        field = self.drift.field(particles, positives)
        if self.drift.needs_signal:
            # It is that of independent points; those of a user may be sorted.
            shuffled = map(_in_random_order, (particles, positives))
            self.drift.update_shares(self.drift.signal(*shuffled))
        step = ops.cast(step_size, "float32") * field.velocity
        moved = particles + step
        return moved, ops.mean(field.norm)

    def _names(self):
        own = [] if self.energy is None else ["energy"]
        return [*own, *self.metrics]

    def _measured(self, particles, positives):
        values = [m(particles, positives) for m in self.metrics.values()]
        if self.energy is None:
            return values
        return [self.energy(particles, positives), *values]

    def _records(self):
        return range(len(self.snapshots))

    def _title(self, record):
        numbers = ", ".join(
            f"{name} {self.history[name][record]:.3g}" for name in self._names()
        )
        return f"step {self.history['step'][record]}: {numbers}"

    def _limits(self):
        """Axis limits: all data, and nearly all particles at any time."""
        points = self.snapshots.reshape(-1, self.snapshots.shape[-1])
        low, high = np.quantile(points, [0.005, 0.995], axis=0)
        low = np.minimum(low, self.positives.min(axis=0))
        high = np.maximum(high, self.positives.max(axis=0))
        margin = 0.05 * np.maximum(high - low, 1e-6)
        return np.stack([low - margin, high + margin])

    def _draw_points(self, axes, record):
        axes.scatter(*self.positives.T, s=6, c="0.7", linewidths=0)
        axes.scatter(*self.snapshots[record].T, s=6, c="C3", linewidths=0)
        limits = self._limits()
        axes.set(xlim=limits[:, 0], ylim=limits[:, 1], aspect="equal")

    def _draw_histogram(self, axes, record):
        limits = self._limits()[:, 0]
        bins = np.linspace(*limits, 51)
        options = {"bins": bins, "density": True}
        heights = axes.hist(self.positives[:, 0], color="0.7", **options)[0]
        axes.hist(
            self.snapshots[record][:, 0],
            color="C3",
            histtype="step",
            **options,
        )
        axes.set(xlim=limits, ylim=(0, 2 * heights.max()), yticks=[])


def _checked_metrics(metrics):
    """A dict of functions, with names that no other record has."""
    is_dict = isinstance(metrics, dict)
    if not is_dict or not all(map(callable, metrics.values())):
        raise TypeError(
            "`metrics` is a dict from names to functions of two sets of "
            "samples, such as {'distance': keras_drift.metrics.energy_distance}"
            f". Received: metrics={metrics!r}"
        )
    states = [k for k, v in metrics.items() if isinstance(v, keras.Metric)]
    if states:
        raise TypeError(
            "A flow is measured by functions of two sets of samples, such as "
            "`keras_drift.metrics.energy_distance`. A Keras metric has a state "
            f"of its own. Received: Keras metrics named {states}"
        )
    taken = sorted({"step", "drift_norm", "energy"} & {*metrics})
    if taken:
        raise ValueError(
            "'step', 'drift_norm' and 'energy' are records of the flow itself: "
            f"give the metric another name. Received: metrics named {taken}"
        )
    return dict(metrics)


def _in_random_order(points):
    order = np.random.default_rng(0).permutation(points.shape[0])
    return ops.take(points, ops.convert_to_tensor(order, "int32"), axis=0)


def _inside(part):
    """Options and attributes of a drift or an energy, to be compared."""
    if part is None:
        return None
    try:
        config = repr(part.get_config())
    except NotImplementedError:  # a user's own, without `get_config`
        config = None
    return config, all_plain_attributes(part)


def _picture(draw, record, title):
    """Renders `draw(axes, record)` to a uint8 array."""
    package = "Animations", "matplotlib", "examples"
    figures = extras.load("matplotlib.figure", *package)
    canvases = extras.load("matplotlib.backends.backend_agg", *package)
    figure = figures.Figure(figsize=(4.8, 4.8), dpi=80, layout="constrained")
    canvas = canvases.FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes, record)
    axes.set_title(title, fontsize=8, loc="left")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
