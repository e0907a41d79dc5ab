"""Whether a change has made anything slower: two checkouts in one run.

    KERAS_BACKEND=jax python benchmarks/compare.py OLD_CHECKOUT

runs the same cases, those of this checkout's benchmarks, with the library of
the old checkout and with that of this one. Each round starts a fresh process
for either, which of them first changes from round to round; a case is measured
several times within a process and its fastest time counts. Prints for each case
the median over the rounds of the ratio new / old, and its spread.
"""

import argparse
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import numpy as np

NEW = pathlib.Path(__file__).resolve().parents[1]
SECTIONS = ("operators", "drifts", "large", "step", "sampling", "bank")


def operator_cases():
    import bench
    import measuring
    import operators

    for case in bench.CASES:
        function = operators.loss_and_gradient(operators.dual_drift())
        yield (
            f"dual {case}",
            functools.partial(function, *operators.point_sets(*case)),
        )
    x, y = (measuring.draw(1, 4096, 64, seed=seed) for seed in (0, 1))
    for name, function in operators.reductions().items():
        yield name, functools.partial(measuring.compiled(function), x, y)


def drift_cases(sizes=((1024, 64), (4096, 64), (4096, 2), (4096, 512))):
    import operators

    for name, drift in operators.DRIFTS.items():
        for n, dim in sizes:
            function = operators.loss_and_gradient(drift())
            x, positives, _ = operators.point_sets(1, n, n, 0, dim)
            yield (
                f"{name} (n = {n}, dim {dim})",
                functools.partial(function, x, positives),
            )


def large_cases():
    import operators

    function = operators.loss_and_gradient(operators.dual_drift())
    x, positives, _ = operators.point_sets(1, 8192, 8192, 0, 64)
    yield (
        "dual (1, 8192, 8192, 0, 64)",
        functools.partial(function, x, positives),
    )


def step_cases():
    import networks

    model, batches = networks.training(tiny=False, num_steps=1)
    yield "DiT 256 x 6", lambda: model.fit(batches, verbose=0).history["loss"]
    small, few = networks.training(tiny=True, num_steps=8)
    yield "tiny DiT, 8 steps", lambda: small.fit(few, verbose=0).history["loss"]


def sampling_cases():
    import networks

    import keras_drift as kd

    preset = kd.DriftModel.from_preset("digits_dit")
    large = kd.DriftModel(networks.dit(tiny=False), seed=0)
    for name, model, n in (
        ("digits_dit, 1", preset, 1),
        ("digits_dit, 256", preset, 256),
        ("DiT 256 x 6, 1", large, 1),
    ):
        yield f"generate, {name}", functools.partial(model.generate, n, seed=0)


def bank_cases():
    import keras_drift as kd

    rng = np.random.default_rng(0)
    samples = rng.standard_normal((1024, 64), "float32")
    labels = rng.integers(0, 1000, 1024)
    classes = rng.choice(1000, 64, replace=False)
    bank = kd.datasets.MemoryBank((64,), num_classes=1000, capacity=128)
    for _ in range(128):  # all rings are full
        bank.add(np.repeat(samples[:1], 1000, 0), np.arange(1000))

    def use():
        bank.add(samples, labels)
        return bank.sample(64, classes)

    yield "memory bank", use


CASES = {
    "operators": operator_cases,
    "drifts": drift_cases,
    "large": large_cases,
    "step": step_cases,
    "sampling": sampling_cases,
    "bank": bank_cases,
}


def measure(section, pattern, checkout):
    """Prints the fastest seconds of each case, with the library on the path."""
    import measuring

    import keras_drift as kd

    if pathlib.Path(kd.__file__).resolve().parents[1] != checkout:
        sys.exit(f"keras_drift was imported from {kd.__file__}")
    found = {}
    for name, function in CASES[section]():
        if re.search(pattern, name):
            measuring.wait(function())  # compiles
            measuring.wait(function())
            times = []
            while len(times) < 3 or (len(times) < 50 and sum(times) < 1.0):
                start = time.perf_counter()
                measuring.wait(function())
                times.append(time.perf_counter() - start)
            found[name] = min(times)
    print(json.dumps(found))


def measure_in_a_process(checkout, section, pattern, cache):
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout),
        # Only the first round compiles.
        "JAX_COMPILATION_CACHE_DIR": cache,
    }
    child = subprocess.run(
        [
            *(sys.executable, __file__, str(checkout), section),
            *("--measure", "--only", pattern),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    if child.returncode:
        print(f"{section} of {checkout} failed", file=sys.stderr)
        return {}
    return json.loads(child.stdout.splitlines()[-1])


def compare(old, section, pattern, rounds, cache):
    """`{case: (old, new)}`, arrays of the seconds in each round."""
    checkouts = [old, NEW]
    times = {}
    for index in range(rounds):
        order = checkouts if index % 2 == 0 else checkouts[::-1]
        found = {
            checkout: measure_in_a_process(checkout, section, pattern, cache)
            for checkout in order
        }
        for name in found[old]:
            if name in found[NEW]:
                pair = (found[old][name], found[NEW][name])
                times.setdefault(name, []).append(pair)
    return {name: np.array(pairs).T for name, pairs in times.items()}


def row(old, new):
    """Seconds of each round to what is printed and written."""
    ratios = new / old
    return {
        "old": float(np.median(old)),
        "new": float(np.median(new)),
        "ratio": float(np.median(ratios)),
        "ratios": ratios.tolist(),
    }


def print_row(name, row):
    print(
        f"{name:42s}{row['old']:10.4g}{row['new']:10.4g}{row['ratio']:9.3f}  "
        f"{min(row['ratios']):.3f} to {max(row['ratios']):.3f}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("old", type=pathlib.Path, help="another checkout")
    parser.add_argument("sections", nargs="*", help=f"of {SECTIONS}, or all")
    parser.add_argument("--only", default="", help="pattern of the cases")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=pathlib.Path)
    parser.add_argument("--measure", action="store_true", help="internal")
    args = parser.parse_args()
    old = args.old.resolve()
    if unknown := set(args.sections) - set(SECTIONS):
        parser.error(f"no such section: {sorted(unknown)}; they are {SECTIONS}")
    if args.measure:
        measure(args.sections[0], args.only, old)
        return
    rows = {}
    print(f"{'':42s}{'old':>10s}{'new':>10s}{'new/old':>9s}  of the rounds")
    with tempfile.TemporaryDirectory() as cache:
        for section in args.sections or SECTIONS:
            found = compare(old, section, args.only, args.rounds, cache)
            rows.update({name: row(*times) for name, times in found.items()})
            for name in found:
                print_row(name, rows[name])
    slower = [name for name, each in rows.items() if each["ratio"] > 1.03]
    print(f"\nslower by more than 3%: {slower or 'none'}")
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
