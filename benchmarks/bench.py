"""How fast everything is, beside other implementations where they are given.

    KERAS_BACKEND=jax python benchmarks/bench.py --official ../drifting

Prints a table and writes it as JSON. Ratios are taken turn by turn within the
run, because machines are shared and noisy; below one is faster than the peer.
On a machine with an accelerator that the backend sees, it is measured.
"""

import argparse
import functools
import json
import pathlib

import keras
import measuring
import numpy as np
import operators
import peers
from keras import ops

import keras_drift as kd

SECTIONS = (
    "operators",
    "drifts",
    "large",
    "growth",
    "step",
    "sampling",
    "bank",
)
CASES = (
    (64, 64, 64, 16, 64),
    (16, 64, 64, 16, 640),
    (1, 2048, 2048, 0, 2),
    (1, 4096, 4096, 0, 64),
)
DIT = {"hidden_dim": 256, "depth": 6, "num_heads": 4, "patch_size": 2}


def measure_operators(bench):
    """Loss and gradient of drifts, and other reductions over pairs."""
    for case in CASES:
        drift = operators.dual_drift()
        function = operators.loss_and_gradient(drift)
        inputs = operators.clouds(*case)
        ours = functools.partial(function, *inputs)
        x, positives, unconditional = inputs
        given = x[:, :0] if unconditional is None else unconditional
        peer = None
        if bench.official:
            peer = peers.official_loss_and_gradient(x, positives, given)
        elif bench.torch_port:
            peer = peers.torch_port_loss_and_gradient(
                bench.torch_port, x, positives, given
            )
        rounds = bench.rounds if case[0] > 1 else 3
        found = measuring.compare(ours, peer, rounds)
        _, flops = operators.work(*case)
        bench.add("operators", f"dual {case}", found, flops)
    n, dim = 4096, 64
    x = measuring.draw(1, n, dim)
    y = measuring.draw(1, n, dim, seed=1)
    row = kd.drifts.KernelDrift(kd.kernels.Gaussian(2.0))
    half_square = kd.ops.half_squared_distances

    def plan(x, y):
        pairs = kd.ops.Pairs(x, kd.ops.PointCloud(y), half_square)
        return kd.ops.sinkhorn(pairs, 4.0, num_steps=20).means()

    reductions = {
        "row, Gaussian": row,
        "energy distance": lambda x, y: kd.metrics.energy_distance(x[0], y[0]),
        "sliced Wasserstein": lambda x, y: kd.metrics.sliced_wasserstein(
            x[0], y[0]
        ),
        "Sinkhorn, 20 steps": plan,
    }
    for name, function in reductions.items():
        ours = functools.partial(measuring.compiled(function), x, y)
        found = measuring.compare(ours, None, 3)
        bench.add("operators", f"{name} ({n} x {n}, {dim})", found)


def measure_drifts(bench):
    """Every drift against the number of samples and dimensions."""
    cases = [(1024, 64), (4096, 64)]
    if not bench.quick:
        cases += [(8192, 64), (4096, 2), (4096, 512)]
    for name in operators.DRIFTS:
        for n, dim in cases:
            found = measuring.in_a_fresh_process(
                "large_field.py", n, n, dim, "--drift", name
            )
            bench.add("drifts", f"{name} (n = {n}, dim {dim})", found)


def measure_large(bench):
    """One field of very many samples, with its memory."""
    sizes = [8192] if bench.quick else [8192, 65536]
    for n in sizes:
        case = (1, n, n, 0, 64)
        found = measuring.in_a_fresh_process("large_field.py", n, n, 64)
        if bench.official and n <= 8192:
            peer = measuring.in_a_fresh_process(
                "large_field.py", n, n, 64, "--official", bench.official
            )
            found["peer_seconds"] = peer["seconds"]
            found["peer_megabytes"] = peer["megabytes"]
            found["ratio"] = found["seconds"] / peer["seconds"]
        pairs, flops = operators.work(*case)
        found["nanoseconds_per_pair"] = 1e9 * found["seconds"] / pairs
        bench.add("large", f"dual {case}", found, flops)


def measure_growth(bench):
    """Time and memory against the number of samples and dimensions."""
    sizes = [1024, 2048, 4096, 8192]
    if not bench.quick:
        sizes.append(16384)
    found = [
        measuring.in_a_fresh_process("large_field.py", n, n, 64) for n in sizes
    ]
    for n, each in zip(sizes, found, strict=True):
        _, flops = operators.work(1, n, n, 0, 64)
        bench.add("growth", f"n = {n}, dim 64", each, flops)
    times = [each["seconds"] for each in found]
    memory = [each["megabytes"] for each in found]
    bench.note("growth", "time against n", measuring.exponent(sizes, times))
    bench.note("growth", "memory against n", measuring.exponent(sizes, memory))
    dims = [16, 64, 256, 1024]
    times = []
    for dim in dims:
        case = (1, 2048, 2048, 0, dim)
        function = operators.loss_and_gradient(operators.dual_drift())
        ours = functools.partial(function, *operators.clouds(*case)[:2])
        each = measuring.compare(ours, None, 3)
        times.append(each["seconds"])
        bench.add(
            "growth", f"n = 2048, dim {dim}", each, operators.work(*case)[1]
        )
    bench.note("growth", "time against dim", measuring.exponent(dims, times))


def measure_step(bench):
    """A training step of a DiT, with the loss."""
    groups, generated, positives, unconditional = 8, 16, 32, 16
    shape = (32, 32, 4)
    generator = kd.generators.DiT(
        image_shape=shape,
        num_classes=10,
        use_rmsnorm=True,
        use_qknorm=True,
        use_swiglu=True,
        use_rope=True,
        **DIT,
    )
    model = kd.DriftModel(
        generator,
        operators.dual_drift(),
        num_generated=generated,
        guidance_sampler=kd.PowerLawGuidance(),
        seed=0,
    )
    model.compile(keras.optimizers.Adam(1e-4))
    rng = np.random.default_rng(0)
    images = rng.standard_normal((10 * positives, *shape), "float32")
    labels = np.repeat(np.arange(10), positives)
    batches = kd.datasets.GroupedDataset(
        images,
        labels,
        groups_per_batch=groups,
        positives=positives,
        unconditional=unconditional,
        steps_per_epoch=1,
    )
    peer = None
    if bench.official:
        x, classes = batches[0]
        peer = peers.official_step(
            classes,
            x["positives"],
            x["unconditional"],
            generated,
            {
                "cond_dim": DIT["hidden_dim"],
                "hidden_size": DIT["hidden_dim"],
                "depth": DIT["depth"],
                "num_heads": DIT["num_heads"],
                "patch_size": DIT["patch_size"],
                "num_classes": 10,
                "input_size": shape[0],
                "in_channels": shape[2],
                "out_channels": shape[2],
                "use_qknorm": True,
                "use_swiglu": True,
                "use_rope": True,
                "use_rmsnorm": True,
            },
        )
    found = measuring.compare(
        lambda: model.fit(batches, verbose=0).history["loss"],
        peer,
        3 if bench.quick else 7,
    )
    bench.add("step", "DiT 256 x 6, 8 groups of 16", found)


def measure_sampling(bench):
    """`generate` beside the bare compiled forward pass."""
    networks = {
        "DiT 256 x 6": kd.generators.DiT(
            image_shape=(32, 32, 4), num_classes=10, **DIT
        ),
        "digits_dit": kd.DriftModel.from_preset("digits_dit").generator,
    }
    for name, network in networks.items():
        model = kd.DriftModel(network, seed=0)
        forward = bare_forward(network)
        for n in (1, 256):
            if bench.quick and n == 256 and name != "digits_dit":
                continue
            inputs = network.sample_inputs(n, seed=0)
            found = measuring.compare(
                lambda: model.generate(n, seed=0),  # noqa: B023
                lambda: ops.convert_to_numpy(forward(inputs)),  # noqa: B023
                bench.rounds if n == 1 else 5,
            )
            bench.add("sampling", f"generate, {name}, {n}", found)


def bare_forward(network):
    """The network as a compiled function of its inputs alone."""
    if measuring.BACKEND == "jax":
        import jax

        trainable = [v.value for v in network.trainable_variables]
        others = [v.value for v in network.non_trainable_variables]
        call = jax.jit(
            lambda trainable, others, inputs: network.stateless_call(
                trainable, others, inputs, training=False
            )[0]
        )
        return lambda inputs: call(trainable, others, inputs)
    if measuring.BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda inputs: network(inputs, training=False))
    import torch

    return torch.no_grad()(lambda inputs: network(inputs, training=False))


def measure_bank(bench):
    """Adding 1,024 samples and drawing 64 of each of 64 classes."""
    for shape in ((32, 32, 4), (64,)):
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

        def our_turn():
            ours.add(samples, labels)  # noqa: B023
            return ours.sample(64, classes)  # noqa: B023

        def their_turn():
            banks[1].add(samples, labels)  # noqa: B023
            return banks[1].sample(classes, 64)  # noqa: B023

        peer = their_turn if bench.official else None
        found = measuring.compare(our_turn, peer, bench.rounds)
        bench.add("bank", f"add 1024, sample 64 x 64, {shape}", found)


class Bench:
    """Collects what is measured, prints it and writes it."""

    def __init__(self, args):
        self.quick = args.quick
        self.rounds = 7 if args.quick else 21
        self.torch_port = args.torch_port
        self.official = None
        if peers.official(args.official):
            self.official = args.official
        self.rate = measuring.matmul_rate()
        self.rows = []
        print(
            f"backend {measuring.BACKEND}, float32 matrix products at "
            f"{self.rate:.0f} GFLOP/s\n"
        )
        print(
            f"{'':48s}{'seconds':>10s}{'GFLOP/s':>9s}{'share':>7s}"
            f"{'peer':>10s}{'ratio':>7s}{'MB':>7s}"
        )

    def add(self, section, name, found, flops=None):
        """A row of the table."""
        row = {"section": section, "name": name, **found}
        if flops is not None:
            row["gflops"] = flops / found["seconds"] / 1e9
            row["share_of_rate"] = row["gflops"] / self.rate
        self.rows.append(row)

        def cell(key, form, width):
            value = row.get(key)
            return f"{'' if value is None else format(value, form):>{width}s}"

        print(
            f"{name:48s}{cell('seconds', '.4g', 10)}{cell('gflops', '.1f', 9)}"
            f"{cell('share_of_rate', '.0%', 7)}"
            f"{cell('peer_seconds', '.4g', 10)}{cell('ratio', '.2f', 7)}"
            f"{cell('megabytes', '.0f', 7)}",
            flush=True,
        )

    def note(self, section, name, exponent):
        """A fitted exponent."""
        self.rows.append(
            {"section": section, "name": name, "exponent": exponent}
        )
        print(f"{name:48s}exponent {exponent:.2f}", flush=True)

    def write(self, path):
        """Writes everything as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "backend": measuring.BACKEND,
            "keras": keras.__version__,
            "keras_drift": kd.__version__,
            "matmul_gflops": self.rate,
            "rows": self.rows,
        }
        path.write_text(json.dumps(content, indent=2))
        print(f"\nwritten to {path}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sections", nargs="*", help=f"of {SECTIONS}, or all")
    parser.add_argument("--official", help="checkout of lambertae/drifting")
    parser.add_argument("--torch-port", help="checkout of a PyTorch port")
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    parser.add_argument("--output", type=pathlib.Path)
    args = parser.parse_args()
    unknown = set(args.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no such section: {sorted(unknown)}; they are {SECTIONS}")
    bench = Bench(args)
    for section in args.sections or SECTIONS:
        globals()[f"measure_{section}"](bench)
    bench.write(
        args.output or pathlib.Path(f"outputs/bench/{measuring.BACKEND}.json")
    )


if __name__ == "__main__":
    main()
