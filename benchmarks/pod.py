"""Time and memory of published training steps on pods, predicted on paper.

    KERAS_BACKEND=jax python benchmarks/pod.py
    KERAS_BACKEND=jax python benchmarks/pod.py --check   # a small step, here

Counts are those of `pod_counts.py`; the figures of the devices are published
ones. A part of a step takes the longer of its arithmetic and its traffic with
the memory, at the stated efficiency, and parts follow each other. JAX only.
"""

import argparse
import json
import math
import typing

import numpy as np
import pod_counts


class Device(typing.NamedTuple):
    """Published figures of one chip.

    Attributes:
        flops: float, a second, in bfloat16.
        exact_flops: float, a second, of products in full float32.
        memory: float, bytes.
        bandwidth: float, bytes a second, of the memory.
        link: float, bytes a second, sent by a chip over all of its links.
    """

    flops: float
    exact_flops: float
    memory: float
    bandwidth: float
    link: float


# cloud.google.com/tpu/docs/v4, /v5e, /v6e, and NVIDIA's H100 data sheet (SXM,
# dense). A TPU multiplies float32 in six products of bfloat16. Links: all of a
# chip, in one direction, published as 2400, 1600 and 3200 Gbit/s, and NVLink as
# 900 GB/s in both.
V4 = Device(275e12, 275e12 / 6, 32e9, 1200e9, 300e9)
V5E = Device(197e12, 197e12 / 6, 16e9, 800e9, 200e9)
V6E = Device(918e12, 918e12 / 6, 32e9, 1600e9, 400e9)
H100 = Device(989e12, 67e12, 80e9, 3350e9, 450e9)

# A v4-8 has 8 cores on 4 chips. The published runs: 64 v6e for the ablation,
# 128 for L/2.
PODS = {
    "v4-8": (V4, 4),
    "v5e-256": (V5E, 256),
    "v6e-64": (V6E, 64),
    "v6e-128": (V6E, 128),
    "8 x H100": (H100, 8),
}
# `latent_ablation`, `latent_b2` and `latent_l2` of `keras-drift train`.
RECIPES = {
    "ablation": pod_counts.Recipe(768, 12, 12, 256, 64, 64, 64, 16),
    "B/2": pod_counts.Recipe(768, 12, 12, 640, 128, 64, 64, 32),
    "L/2": pod_counts.Recipe(1024, 24, 16, 640, 128, 64, 64, 32),
}
SMALL = pod_counts.Recipe(
    128, 2, 4, 32, 4, 8, 8, 4, "float32", num_blocks=(1, 1, 1, 1)
)

# Shares of the published rates that large products, and large copies, reach.
EFFICIENCY = {"arithmetic": 0.5, "memory": 0.8, "link": 0.8}
# Of the bytes that gradients need of the forward pass, the share that XLA keeps
# rather than computing it again: that of the program of `pod_tpu.py`.
KEPT = 0.6
# Bytes that a gradient, with its forward pass, moves through the memory for
# each of those, of the same program; a forward pass alone moves a third.
MOVED = 8.2
# Float32 weight, gradient, two moments and an average.
_STATE_BYTES = 20
# Reads of all of them, and writes of all but the gradient.
_UPDATE_BYTES = 36


class Prediction(typing.NamedTuple):
    """A step on a pod.

    Attributes:
        parts: dict from the part of a step to its seconds.
        memory: float, bytes on a chip.
        is_cut: bool, whether variables are cut over all chips (`"fsdp"`).
        micro_batches: int.
    """

    parts: dict
    memory: float
    is_cut: bool
    micro_batches: int

    @property
    def seconds(self):
        """Of a step."""
        return sum(self.parts.values())


def predict(recipe, counts, device, chips, efficiency=None):
    """Predicts a step in the fastest plan that fits into the memory.

    Returns:
        A `Prediction`, or `None` if no plan fits.
    """
    efficiency = EFFICIENCY if efficiency is None else efficiency
    rows = math.ceil(recipe.groups * recipe.generated / chips)
    plans = [
        _plan(recipe, counts, device, chips, efficiency, is_cut, 2**k)
        for is_cut in (False, True)
        for k in range(int(math.log2(rows)) + 1)
    ]
    fits = [plan for plan in plans if plan.memory <= device.memory]
    return min(fits, key=lambda plan: plan.seconds, default=None)


def _plan(recipe, counts, device, chips, efficiency, is_cut, micro_batches):
    """The `Prediction` of one plan."""
    parts = _parts(recipe, counts, chips, is_cut, micro_batches)
    seconds = {
        name: _seconds(device, efficiency, *part)
        for name, part in parts.items()
    }
    sent = _sent(counts, chips, is_cut, micro_batches)
    seconds["exchange"] = sent / device.link / efficiency["link"]
    memory = _memory(recipe, counts, chips, is_cut, micro_batches)
    return Prediction(seconds, memory, is_cut, micro_batches)


def _shares(recipe, chips):
    """Generated samples, data and groups of a chip."""
    data = recipe.groups * (recipe.positives + recipe.unconditional)
    if recipe.groups >= chips:
        groups = math.ceil(recipe.groups / chips)
    else:  # samples of every group are spread, with padding
        share = math.ceil(recipe.generated / chips) / recipe.generated
        groups = recipe.groups * share
    rows = math.ceil(recipe.groups * recipe.generated / chips)
    return rows, math.ceil(data / chips), groups


def _memory(recipe, counts, chips, is_cut, micro_batches):
    """Bytes on a chip: variables, features, and what gradients need."""
    rows, data, _ = _shares(recipe, chips)
    variables = (
        _STATE_BYTES * counts.generator["parameters"]
        + 4 * counts.encoder["parameters"]
    )
    activations = (
        KEPT
        * rows
        * (counts.generator["residuals"] + counts.encoder["residuals"])
    )
    features = 4 * (rows + data) * counts.feature_numbers
    return (
        variables / (chips if is_cut else 1)
        + activations / micro_batches
        + features
    )


def _parts(recipe, counts, chips, is_cut, micro_batches):
    """`(operations, bytes, is_exact)` of the parts of a step, on a chip."""
    rows, data, groups = _shares(recipe, chips)
    generator, encoder = counts.generator, counts.encoder
    again = micro_batches > 1  # another forward pass
    passes = 2 * micro_batches + again * micro_batches
    features = 4 * (rows + data) * counts.feature_numbers
    updated = _UPDATE_BYTES * generator["parameters"]
    updated /= chips if is_cut else 1
    return {
        "generator": (
            rows * (generator["gradient"] + again * generator["forward"]),
            MOVED * (1 + again / 3) * rows * generator["residuals"]
            + 4 * passes * generator["parameters"],
            False,
        ),
        "encoder": (
            rows * (encoder["gradient"] + again * encoder["forward"])
            + data * encoder["forward"],
            MOVED * (data / 3 + (1 + again / 3) * rows) * encoder["residuals"]
            + 4 * (passes + micro_batches) * encoder["parameters"],
            False,
        ),
        "field": (groups * counts.field, 2 * features, True),
        "optimizer": (0.0, updated, False),
    }


def _sent(counts, chips, is_cut, micro_batches):
    """Bytes that a chip sends in a step."""
    once = (chips - 1) / chips * 4
    generator = counts.generator["parameters"]
    if not is_cut:
        return 2 * once * generator  # all-reduce of the gradients
    passes = micro_batches * (2 + (micro_batches > 1))
    encoder = counts.encoder["parameters"]
    return once * (
        (passes + 1) * generator + (passes + micro_batches) * encoder
    )


def _seconds(device, efficiency, operations, size, is_exact):
    flops = device.exact_flops if is_exact else device.flops
    return max(
        operations / flops / efficiency["arithmetic"],
        size / device.bandwidth / efficiency["memory"],
    )


def check():
    """A small step here: predicted from measured rates, and measured."""
    import measuring

    rates = measuring.roofline()
    flops = 1e9 * rates.matmul_gflops["float32"]
    device = Device(flops, flops, 1e12, 1e9 * rates.copy_gbytes, 1.0)
    ideal = dict.fromkeys(EFFICIENCY, 1.0)
    counts = pod_counts.count(SMALL)
    found = predict(SMALL, counts, device, 1, ideal)
    parts = {k: v for k, v in found.parts.items() if v}
    times = measuring.seconds({"step": pod_counts.step(SMALL)}, 5)["step"]
    measured = float(np.median(times))
    return {
        "gflops": rates.matmul_gflops["float32"],
        "gbytes": rates.copy_gbytes,
        "predicted": found.seconds,
        "parts": parts,
        "measured": measured,
        "ratio": found.seconds / measured,
    }


def table():
    """Prints a row for each recipe on each pod."""
    print(f"{'recipe':9s} {'pod':9s} {'step':>8s} {'memory':>8s}  plan, parts")
    for name, recipe in RECIPES.items():
        counts = pod_counts.count(recipe)
        print(json.dumps({name: counts._replace(features=None)._asdict()}))
        for pod, (device, chips) in PODS.items():
            found = predict(recipe, counts, device, chips)
            if found is None:
                print(f"{name:9s} {pod:9s} does not fit")
                continue
            parts = {k: round(v, 3) for k, v in found.parts.items()}
            plan = "fsdp" if found.is_cut else "copies"
            print(
                f"{name:9s} {pod:9s} {found.seconds:6.2f} s "
                f"{found.memory / 1e9:5.1f} GB  {plan}, micro_batches="
                f"{found.micro_batches}, {parts}",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="a small step")
    if parser.parse_args().check:
        print(json.dumps(check()))
    else:
        table()


if __name__ == "__main__":
    main()
