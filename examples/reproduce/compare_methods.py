"""Compares drifting with a GAN, an MMD network and flow matching.

    python examples/reproduce/compare_methods.py
    python examples/reproduce/compare_methods.py --toys spirals --seconds 45

All methods train on the same points for the same time, with networks of the
same size: drifting as in `examples/toy_2d.py`, the others as in `peers.py` with
settings tuned on two toys. The time per step of each is measured first, which
gives the number of steps; neither compilation nor monitoring counts.

The table shows the product of nearest-neighbor precision and recall, each over
its floor: 1 is data, and both blur and missing modes make it larger. All of it
takes an hour with one thread, one toy eight minutes. Where other work shares
the machine, `--cpu-time` counts processor time instead of wall clock.
"""

import contextlib
import functools
import io
import pathlib
import sys
import time

import common
import keras
import matplotlib.pyplot as plt
import peers

import keras_drift as kd

sys.path.append(str(pathlib.Path(__file__).parents[1]))
import toy_2d

NUM_POINTS = 100 * toy_2d.BATCH_SIZE
HIDDEN_DIMS = (128,) * 4
CALIBRATION_STEPS = 40  # which measure the time per step
BAR = 6  # of seven toys


def train_drifting(data, num_steps, seed, clock):
    data = data[: num_steps * toy_2d.BATCH_SIZE]
    epochs = round(num_steps * toy_2d.BATCH_SIZE / len(data))
    held_out = data[:2000]  # of the monitor, which the results do not use
    model, _ = toy_2d.train(data, held_out, epochs, seed, callbacks=[clock])
    return model


def train_peer(
    make,
    optimizer,
    learning_rate,
    batch_size,
    data,
    num_steps,
    seed,
    clock,
    **options,
):
    """Trains a model of `peers.py` with the schedule of `toy_2d.py`."""
    warmup_steps = min(50, num_steps // 4)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=num_steps - warmup_steps,
        alpha=0.01,
        warmup_target=learning_rate,
        warmup_steps=warmup_steps,
    )
    model = make(seed=seed)
    model.compile(
        optimizer(schedule, use_ema=True, ema_momentum=0.99, **options)
    )
    batches = common.RepeatedBatches(data, batch_size, num_steps)
    model.fit(batches, epochs=1, callbacks=[clock])
    return model


METHODS = {
    "drifting": train_drifting,
    "gan": functools.partial(
        train_peer,
        lambda seed: peers.GAN(common.crisp_network(), HIDDEN_DIMS, 4.0, seed),
        keras.optimizers.Adam,
        3e-3,
        256,
        beta_1=0.5,
        beta_2=0.99,
    ),
    "mmd": functools.partial(
        train_peer,
        lambda seed: peers.MMDNetwork(
            common.crisp_network(), 2.0, 5, 1.0, seed
        ),
        keras.optimizers.Adam,
        3e-3,
        512,
        beta_2=0.99,
    ),
    "flow_matching": functools.partial(
        train_peer,
        lambda seed: peers.FlowMatching(2, HIDDEN_DIMS, "relu", seed=seed),
        keras.optimizers.Muon,
        1e-2,
        1024,
    ),
}
# Euler steps of flow matching, each a row of the table.
FLOW_STEPS = (1, 10)


class Clock(keras.callbacks.Callback):
    """Measures the time in training steps: no compilation, no callbacks.

    Args:
        now: function that returns the time in seconds.
    """

    def __init__(self, now):
        super().__init__()
        self.now = now
        self.seconds = 0.0
        self.num_steps = 0
        self.start = None

    def on_epoch_begin(self, epoch, logs=None):
        if epoch > 0:
            self.start = self.now()

    def on_train_batch_end(self, batch, logs=None):
        if self.start is None:  # the first step compiles
            self.start = self.now()
        else:
            self.num_steps += 1

    def on_epoch_end(self, epoch, logs=None):
        self.seconds += self.now() - self.start

    def seconds_per_step(self):
        return self.seconds / self.num_steps


def trained(method, toy, num_points, num_steps, args):
    """Trains silently; returns `(model, clock)`."""
    keras.utils.set_random_seed(args.seed)
    data = kd.datasets.TOYS[toy](num_points, seed=args.seed)
    now = time.process_time if args.cpu_time else time.perf_counter
    clock = Clock(now)
    with contextlib.redirect_stdout(io.StringIO()):
        model = METHODS[method](data, num_steps, args.seed, clock)
    return model, clock


def calibrated_steps(method, toy, args):
    """The training steps that take `args.seconds`, from a short run."""
    num_points = CALIBRATION_STEPS * toy_2d.BATCH_SIZE
    _, clock = trained(method, toy, num_points, CALIBRATION_STEPS, args)
    return max(2, round(args.seconds / clock.seconds_per_step()))


def rows(method, model):
    """Yields `(row of the table, model)` for each way to sample."""
    if method != "flow_matching":
        yield method, model
        return
    for model.num_steps in FLOW_STEPS:
        yield f"{method}_{model.num_steps}", model


def product(numbers):
    """Precision times recall, each over its floor: 1 is data."""
    return numbers["precision_over_floor"] * numbers["recall_over_floor"]


def compare(toy, steps, args):
    """Trains every method on a toy; returns samples and measurements by row."""
    samples, numbers = {}, {}
    for method, num_steps in steps.items():
        model, clock = trained(method, toy, NUM_POINTS, num_steps, args)
        for row, sampler in rows(method, model):
            samples[row] = sampler.generate(4000, seed=0, batch_size=8192)
            numbers[row] = {
                "seconds": clock.seconds,
                "num_steps": clock.num_steps + 1,
                **toy_2d.measure(
                    sampler, kd.datasets.TOYS[toy], args.num_samples
                ),
            }
            print(f"{toy} {row}: {product(numbers[row]):.2f}", flush=True)
    return samples, numbers


def print_table(numbers, toys):
    """Products of precision and recall over their floors, in Markdown."""
    print("\n| method | " + " | ".join(toys) + " |")
    print("|---" * (1 + len(toys)) + "|")
    for row in numbers[toys[0]]:
        cells = [f"{product(numbers[toy][row]):.2f}" for toy in toys]
        print(f"| {row} | " + " | ".join(cells) + " |")


def print_verdict(numbers):
    """Says on which toys drifting is better than every one-step peer."""
    lost = {}
    for toy, found in numbers.items():
        one_step = {
            row: product(each)
            for row, each in found.items()
            if row != f"flow_matching_{max(FLOW_STEPS)}"
        }
        best = min(one_step, key=one_step.get)
        if best != "drifting":
            lost[toy] = best
    won = len(numbers) - len(lost)
    print(
        f"\nDrifting is better than every one-step peer on {won} of "
        f"{len(numbers)} toys (bar: {BAR} of {len(kd.datasets.TOYS)})."
    )
    for toy, best in lost.items():
        print(f"Not on {toy}, where the best is {best}.")


def plot(samples, numbers):
    """A figure of data and samples: a row for each method, a column per toy."""
    titles = ["data", *next(iter(samples.values()))]
    figure, axes = plt.subplots(
        len(titles),
        len(samples),
        figsize=(2 * len(samples), 2.15 * len(titles)),
        layout="constrained",
        squeeze=False,
    )
    for column, (toy, by_row) in zip(axes.T, samples.items(), strict=True):
        data = kd.datasets.TOYS[toy](4000, seed=1000)
        for axis, row in zip(column, titles, strict=True):
            points = data if row == "data" else by_row[row]
            title = toy.replace("_", " ")
            if row != "data":
                title = f"{product(numbers[toy][row]):.2f}"
            axis.scatter(*points.T, s=1, linewidths=0, alpha=0.6)
            axis.set(aspect="equal", xlim=(-2.4, 2.4), ylim=(-2.4, 2.4))
            axis.set(xticks=[], yticks=[])
            axis.set_title(title, fontsize=9)
    for axis, row in zip(axes[:, 0], titles, strict=True):
        name, _, num_steps = row.partition("matching_")
        steps = "step" if num_steps == "1" else "steps"
        label = f"{name}matching\n{num_steps} {steps}" if num_steps else row
        axis.set_ylabel(label.replace("_", " "))
    return figure


def main():
    parser = common.parser(__doc__.splitlines()[0], num_samples=4000)
    parser.add_argument(
        "--seconds", type=float, default=45.0, help="of training, each method"
    )
    parser.add_argument("--cpu-time", action="store_true", help="no wall clock")
    names = list(METHODS)
    parser.add_argument("--methods", nargs="+", choices=names, default=names)
    toys = list(kd.datasets.TOYS)
    parser.add_argument("--toys", nargs="+", choices=toys, default=toys)
    args = parser.parse_args()

    steps = {
        method: calibrated_steps(method, args.toys[0], args)
        for method in args.methods
    }
    print("Training steps:", steps, flush=True)
    samples, numbers = {}, {}
    for toy in args.toys:
        samples[toy], numbers[toy] = compare(toy, steps, args)
    print_table(numbers, args.toys)
    if "drifting" in args.methods:
        print_verdict(numbers)
    found = {"seconds": args.seconds, "toys": numbers}
    common.write(args, "compare_methods", plot(samples, numbers), found)


if __name__ == "__main__":
    main()
