"""The loss of the 86 features of the image recipe, beside the official release.

    KERAS_BACKEND=jax python benchmarks/many_features.py ../drifting

Features have the shapes of the recipe's encoder and random values, so no
network is measured: only drifts, regression and the gradient of the loss with
respect to the features. Programs of both sides are traced and compiled in
alternate rounds, tracing by the time of the processor, and their steps are
taken alternately. Prints one line of JSON, with the medians of both and of
their ratios; without a checkout, ours alone.
"""

import argparse
import json
import time

import jax
import measuring
import numpy as np
import operators
import peers

import keras_drift as kd
from keras_drift.training import DriftObjective
from keras_drift.training import TrainingBatch

BLOCKS = (3, 4, 6, 3)  # of each stage of the encoder
WINDOWS = (2, 4)  # of the statistics over patches
EVERY = 2  # the block of a stage that is a feature
SIZES = {"generated": 8, "positives": 8, "unconditional": 4}


class Given:
    """An encoder whose features are known, in the order it is asked for."""

    def __init__(self, *features):
        self.features = list(features)

    def __call__(self, samples):
        del samples
        return self.features.pop(0)


def shapes(channels, size, in_channels):
    """The tokens and the dimension of every feature, by name.

    Args:
        channels: int, those of the first stage of the encoder.
        size: int, the height and the width of the images.
        in_channels: int, those of the images.
    """
    maps = {"conv1": (size, channels)}
    for stage, blocks in enumerate(BLOCKS):
        form = size >> stage, channels << stage
        maps[f"layer{stage + 1}"] = form
        for block in range(EVERY, blocks + 1, EVERY):
            maps[f"layer{stage + 1}_blk{block}"] = form
    found = {
        "norm_x": (1, in_channels),
        "global": (1, size * size * in_channels),
    }
    for name, (side, dim) in maps.items():
        found[name] = side * side, dim
        for statistic in ("mean", "std"):
            found[f"{name}_{statistic}"] = 1, dim
            for window in WINDOWS:
                if side % window == 0:
                    tokens = (side // window) ** 2
                    found[f"{name}_{statistic}_{window}"] = tokens, dim
    return found


def draw(forms, count, seed):
    """Features of `count` samples, `(count, tokens, dim)` each."""
    return {
        name: measuring.draw(count, *form, seed=seed + index, shift=0.1 * seed)
        for index, (name, form) in enumerate(forms.items())
    }


def our_loss(groups):
    """A loss of features of samples, of data, and of guidance scales."""
    drift = operators.dual_drift()

    def loss(generated, positives, unconditional, scale):
        batch = TrainingBatch(
            inputs={},
            positives=np.zeros((groups, SIZES["positives"], 1), "float32"),
            unconditional=np.zeros(
                (groups, SIZES["unconditional"], 1), "float32"
            ),
            guidance_scale=scale,
        )
        objective = DriftObjective(
            Given(positives, unconditional),
            drift,
            num_generated=SIZES["generated"],
        )
        targets = objective.targets(generated, batch)
        return objective.loss(generated, targets, features_moved=False)

    return loss


class Program:
    """A loss with its gradient: traced, compiled and run."""

    def __init__(self, make_loss, arguments):
        self.make_loss = make_loss
        self.arguments = arguments
        self.times = {"trace": [], "compile": []}
        self.step = None

    def build(self):
        """Traces and compiles it anew."""
        jax.clear_caches()
        step = jax.jit(jax.value_and_grad(self.make_loss()))
        start = time.process_time()
        lowered = step.lower(*self.arguments)
        self.times["trace"].append(time.process_time() - start)
        start = time.perf_counter()
        self.step = lowered.compile()
        self.times["compile"].append(time.perf_counter() - start)

    def __call__(self):
        return self.step(*self.arguments)


def measure(programs, builds, rounds):
    """Medians of each program and of the ratios to the last one."""
    for _ in range(builds):
        for program in programs.values():
            program.build()
    times = {name: dict(each.times) for name, each in programs.items()}
    steps = measuring.seconds(programs, rounds)
    for name, seconds in steps.items():
        times[name]["step"] = seconds
    found = {
        name: {key: float(np.median(each)) for key, each in of_one.items()}
        for name, of_one in times.items()
    }
    if "official" in times:
        found["ratio"] = {
            key: float(
                np.median(np.divide(times["ours"][key], times["official"][key]))
            )
            for key in times["ours"]
        }
        found["ratio"]["trace and compile"] = float(
            np.median(
                np.add(times["ours"]["trace"], times["ours"]["compile"])
                / np.add(
                    times["official"]["trace"], times["official"]["compile"]
                )
            )
        )
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "official", nargs="?", help="checkout of lambertae/drifting"
    )
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--in-channels", type=int, default=4)
    parser.add_argument("--groups", type=int, default=4)
    parser.add_argument("--builds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    forms = shapes(args.channels, args.size, args.in_channels)
    arguments = (
        *(
            draw(forms, args.groups * size, seed)
            for seed, size in enumerate(SIZES.values())
        ),
        np.linspace(1.0, 4.0, args.groups, dtype="float32"),
    )
    programs = {"ours": Program(lambda: our_loss(args.groups), arguments)}
    if peers.official(args.official):
        programs["official"] = Program(
            lambda: peers.official_loss_of_features(**SIZES), arguments
        )
    found = measure(programs, args.builds, args.rounds)
    dims = {dim for _, dim in forms.values()}
    print(
        json.dumps(
            {
                "library": kd.__version__,
                "features": len(forms),
                "dimensions": len(dims),
                **found,
            }
        )
    )


if __name__ == "__main__":
    main()
