"""How fast everything is, beside other implementations where they are given.

    KERAS_BACKEND=jax python benchmarks/bench.py --official ../drifting

Prints a table and writes it as JSON after every row. Ours and the other are
measured alternately within the run, because machines are shared and noisy; a
ratio below one is faster than the other. On a machine with an accelerator that
the backend sees, it is measured. First of all the rates of the machine are
measured, to which `share` compares.
"""

import argparse
import functools
import pathlib
import sys
import traceback

import keras
import measuring
import networks
import numpy as np
import operators
import peers
from keras import ops
from report import Report

import keras_drift as kd
from keras_drift import backend
from keras_drift.converters import official_dit

SECTIONS = (
    "operators",
    "drifts",
    "ladder",
    "large",
    "growth",
    "step",
    "forward",
    "sampling",
    "bank",
)
CASES = (
    (64, 64, 64, 16, 64),
    (16, 64, 64, 16, 640),
    (1, 2048, 2048, 0, 2),
    (1, 4096, 4096, 0, 64),
)
TINY_CASES = ((4, 8, 8, 4, 16), (1, 256, 256, 0, 2))


class Bench:
    """The options of a run, and its table.

    Args:
        args: the parsed command line.
    """

    def __init__(self, args):
        self.tiny = args.tiny
        self.quick = args.quick or args.tiny
        self.rounds = 3 if args.tiny else 7 if args.quick else 21
        self.torch_port = args.torch_port
        self.official = None
        if peers.official(args.official):
            self.official = args.official
        self.accelerated = backend.has_accelerator()
        self.report = Report(
            args.output
            or pathlib.Path(f"outputs/bench/{measuring.BACKEND}.json"),
            measuring.roofline(args.tiny),
        )


def measure_operators(bench):
    """Loss and gradient of drifts, and other reductions over pairs."""
    for case in TINY_CASES if bench.tiny else CASES:
        function = operators.loss_and_gradient(operators.dual_drift())
        x, positives, unconditional = operators.point_sets(*case)
        given = x[:, :0] if unconditional is None else unconditional
        peer = None
        if bench.official:
            peer = peers.official_loss_and_gradient(x, positives, given)
        elif bench.torch_port:
            peer = peers.torch_port_loss_and_gradient(
                bench.torch_port, x, positives, given
            )
        ours = functools.partial(function, x, positives, unconditional)
        rounds = bench.rounds if case[0] > 1 or bench.accelerated else 3
        found = measuring.compare(ours, peer, rounds)
        work = operators.work(*case)
        bench.report.add("operators", f"dual {case}", found, work)
    n, dim = 256 if bench.tiny else 4096, 64
    x = measuring.draw(1, n, dim)
    y = measuring.draw(1, n, dim, seed=1)
    for name, function in operators.reductions().items():
        ours = functools.partial(measuring.compiled(function), x, y)
        found = measuring.compare(ours, None, 3)
        bench.report.add("operators", f"{name} ({n} x {n}, {dim})", found)


def measure_drifts(bench):
    """Every drift against the number of samples and dimensions."""
    cases = [(256, 8)] if bench.tiny else [(1024, 64), (4096, 64)]
    if not bench.quick:
        cases += [(8192, 64), (4096, 2), (4096, 512)]
    for name in operators.DRIFTS:
        for n, dim in cases:
            if bench.accelerated:  # where a process takes seconds to start
                found = measure_drift(name, n, dim)
            else:
                found = measuring.in_a_fresh_process(
                    "large_field.py", n, n, dim, "--drift", name
                )
            bench.report.add("drifts", f"{name} (n = {n}, dim {dim})", found)


def measure_drift(name, n, dim):
    function = operators.loss_and_gradient(operators.DRIFTS[name]())
    x, positives, _ = operators.point_sets(1, n, n, 0, dim)
    return measuring.compare(lambda: function(x, positives), None, 5)


def measure_ladder(bench):
    """The field of 8 bandwidths over that of one: the ratio is the cost."""
    cases = [(1, 512, 512, 0, 2), (1, 1024, 1024, 0, 64)]
    for case in [(1, 64, 64, 0, 2)] if bench.tiny else cases:
        x, positives, _ = operators.point_sets(*case)
        for name, kernel in operators.LADDERS.items():
            eight, one = (
                functools.partial(
                    operators.loss_and_gradient(operators.ladder(kernel, n)),
                    x,
                    positives,
                )
                for n in (8, 1)
            )
            found = measuring.compare(eight, one, bench.rounds)
            bench.report.add("ladder", f"8 over 1, {name}, {case}", found)


def measure_large(bench):
    """One field of very many samples, with its memory."""
    sizes = [512] if bench.tiny else [8192]
    if not bench.quick or (bench.accelerated and not bench.tiny):
        sizes.append(65536)
    for n in sizes:
        found = measuring.in_a_fresh_process("large_field.py", n, n, 64)
        if bench.official and n <= 8192:
            peer = measuring.in_a_fresh_process(
                "large_field.py", n, n, 64, "--official", bench.official
            )
            found["peer_seconds"] = peer["seconds"]
            found["peer_megabytes"] = peer["megabytes"]
            found["ratio"] = found["seconds"] / peer["seconds"]
        case = (1, n, n, 0, 64)
        bench.report.add("large", f"dual {case}", found, operators.work(*case))


def measure_growth(bench):
    """Time and memory against the number of samples and dimensions."""
    sizes = [256, 512] if bench.tiny else [1024, 2048, 4096, 8192]
    if not bench.quick:
        sizes.append(16384)
    times, memory = [], []
    for n in sizes:
        found = measuring.in_a_fresh_process("large_field.py", n, n, 64)
        times.append(found["seconds"])
        memory.append(max(found["megabytes"], 1e-3))
        work = operators.work(1, n, n, 0, 64)
        bench.report.add("growth", f"n = {n}, dim 64", found, work)
    note = functools.partial(bench.report.note, "growth")
    note("time against n", measuring.exponent(sizes, times))
    note("memory against n", measuring.exponent(sizes, memory))
    n, dims = (256, [4, 16]) if bench.tiny else (2048, [16, 64, 256, 1024])
    times = []
    for dim in dims:
        case = (1, n, n, 0, dim)
        function = operators.loss_and_gradient(operators.dual_drift())
        ours = functools.partial(function, *operators.point_sets(*case)[:2])
        found = measuring.compare(ours, None, 3)
        times.append(found["seconds"])
        work = operators.work(*case)
        bench.report.add("growth", f"n = {n}, dim {dim}", found, work)
    note("time against dim", measuring.exponent(dims, times))


def measure_step(bench):
    """A training step of a DiT, with the loss."""
    # `fit` starts in milliseconds, which accelerators notice.
    num_steps = 20 if bench.accelerated else 1
    rounds = 3 if bench.quick or bench.accelerated else 7
    policies = ["float32"]
    if bench.accelerated or bench.tiny:
        policies.append("mixed_bfloat16")
    for policy in policies:
        keras.config.set_dtype_policy(policy)
        try:
            model, batches = networks.training(bench.tiny, num_steps)
            peer = None
            if bench.official and policy == "float32":
                peer = networks.official_step(batches, num_steps)
            found = measuring.compare(
                lambda: model.fit(batches, verbose=0).history["loss"],  # noqa: B023
                peer,
                rounds,
            )
        finally:
            keras.config.set_dtype_policy("float32")
        for key in {"seconds", "peer_seconds"} & set(found):
            found[key] /= num_steps
        work = networks.training_work(model.generator)
        name = "tiny DiT" if bench.tiny else "DiT 256 x 6"
        bench.report.add(
            "step", f"{name}, 8 groups of 16, {policy}", found, work
        )


def measure_forward(bench):
    """A forward pass of the released L/2, beside theirs of the same weights."""
    config = networks.released(bench.tiny)
    network = kd.generators.DiT(
        **official_dit.config_of({"model_config": config})
    )
    theirs = None
    if bench.official:
        theirs, params = peers.official_network(config)
        official_dit.assign(network, params)
        del params
    forward = networks.bare_forward(network)
    name = "tiny DiT" if bench.tiny else "DiT L/2"
    for n in (1, 8):
        inputs = network.sample_inputs(n, seed=0)
        inputs = {k: ops.convert_to_tensor(v) for k, v in inputs.items()}
        peer = None
        if theirs is not None:
            peer = functools.partial(theirs, inputs)
            expected = ops.convert_to_numpy(peer())
            gap = np.abs(ops.convert_to_numpy(forward(inputs)) - expected)
            if gap.max() > 1e-4 * np.abs(expected).max():
                raise AssertionError(f"The networks differ by {gap.max()}")
        ours = functools.partial(forward, inputs)
        rounds = bench.rounds if n == 1 else max(3, bench.rounds // 3)
        found = measuring.compare(ours, peer, rounds)
        work = networks.forward_work(network, n)
        bench.report.add("forward", f"{name}, float32, batch {n}", found, work)


def measure_sampling(bench):
    """`generate` beside the bare compiled forward pass."""
    preset = kd.DriftModel.from_preset("digits_dit").generator
    named = {"digits_dit": preset}
    if not bench.tiny:
        named["DiT 256 x 6"] = networks.dit(tiny=False)
    for name, network in named.items():
        model = kd.DriftModel(network, seed=0)
        forward = networks.bare_forward(network)
        slow = network is not preset and not bench.accelerated
        for n in (1, 256):
            if bench.quick and slow and n == 256:
                continue
            inputs = network.sample_inputs(n, seed=0)
            found = measuring.compare(
                lambda: model.generate(n, seed=0),  # noqa: B023
                lambda: ops.convert_to_numpy(forward(inputs)),  # noqa: B023
                bench.rounds if n == 1 or bench.accelerated else 5,
            )
            work = networks.forward_work(network, n)
            bench.report.add("sampling", f"generate, {name}, {n}", found, work)


def measure_bank(bench):
    """Adding 1,024 samples and drawing 64 of each of 64 classes."""
    for shape in ((64,),) if bench.tiny else ((32, 32, 4), (64,)):
        rng = np.random.default_rng(0)
        samples = rng.standard_normal((1024, *shape), "float32")
        labels = rng.integers(0, 1000, 1024)
        classes = rng.choice(1000, 64, replace=False)
        ours = kd.datasets.MemoryBank(shape, num_classes=1000, capacity=128)
        banks = [ours]
        if bench.official:
            banks.append(peers.official_bank(num_classes=1000, max_size=128))
        for bank in banks:
            for _ in range(128):  # all rings are full
                bank.add(np.repeat(samples[:1], 1000, 0), np.arange(1000))

        def use_ours():
            ours.add(samples, labels)  # noqa: B023
            return ours.sample(64, classes)  # noqa: B023

        def use_theirs():
            banks[1].add(samples, labels)  # noqa: B023
            return banks[1].sample(classes, 64)  # noqa: B023

        peer = use_theirs if bench.official else None
        found = measuring.compare(use_ours, peer, bench.rounds)
        bench.report.add("bank", f"add 1024, sample 64 x 64, {shape}", found)


def parse(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sections", nargs="*", help=f"of {SECTIONS}, or all")
    parser.add_argument("--official", help="checkout of lambertae/drifting")
    parser.add_argument("--torch-port", help="checkout of a PyTorch port")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--tiny", action="store_true", help="tests the script")
    parser.add_argument("--output", type=pathlib.Path)
    args = parser.parse_args(arguments)
    unknown = set(args.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no such section: {sorted(unknown)}; they are {SECTIONS}")
    return args


def main():
    args = parse()
    bench = Bench(args)
    failed = False
    for section in args.sections or SECTIONS:
        try:
            globals()[f"measure_{section}"](bench)
        except Exception as error:
            traceback.print_exc()
            bench.report.fail(section, error)
            failed = True
    print(f"\nwritten to {bench.report.path}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
