"""How the benchmarks measure: time, the limits of the hardware, peak memory."""

import json
import pathlib
import subprocess
import sys
import time
import typing

import keras
import numpy as np
from keras import ops

from keras_drift import backend

BACKEND = keras.backend.backend()
HERE = pathlib.Path(__file__).parent


class Work(typing.NamedTuple):
    """The least that a computation has to do, whatever the implementation.

    Attributes:
        flops: float, operations of its matrix products.
        bytes: float, its inputs read once and its results written once.
        pairs: float, pairs of samples and points, `None` without pairs.
        samples: float, generated samples, `None` where they are not counted.
        precision: of the products: `"float32"`, `"default"` (the backend's own,
            TF32 for JAX on accelerators) or `"bfloat16"`.
    """

    flops: float
    bytes: float
    pairs: float | None = None
    samples: float | None = None
    precision: str = "float32"


class Roofline(typing.NamedTuple):
    """Rates that this machine reaches through this backend.

    Attributes:
        matmul_gflops: dict, GFLOP/s of a product by its precision.
        copy_gbytes: float, GB/s of a large copy, bytes read and written.
    """

    matmul_gflops: dict
    copy_gbytes: float

    def seconds(self, work):
        """The time that no implementation can beat, and what limits it."""
        arithmetic = work.flops / self.matmul_gflops[work.precision] / 1e9
        memory = work.bytes / self.copy_gbytes / 1e9
        if arithmetic >= memory:
            return arithmetic, "arithmetic"
        return memory, "memory"


def compiled(function):
    """The function as one program, where the backend has such."""
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False)
    import torch

    return torch.no_grad()(function)


def wait(result):
    """Returns once the device has computed the result."""
    if BACKEND == "jax":
        import jax

        jax.block_until_ready(result)
    elif BACKEND == "torch":
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
    else:
        for tensor in keras.tree.flatten(result):
            getattr(tensor, "numpy", lambda: None)()
    return result


def seconds(functions, rounds):
    """Seconds of each function, measured alternately: `{name: array}`.

    Args:
        functions: dict of callables without arguments. Each is called twice
            before, so that compilation is not measured.
        rounds: int, how often each is measured.
    """
    for function in functions.values():
        wait(function())  # compiles
        wait(function())
    times = {name: np.empty(rounds) for name in functions}
    for index in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            wait(function())
            times[name][index] = time.perf_counter() - start
    return times


def compare(ours, peer, rounds):
    """Median seconds of ours, of the peer, and the median of the ratios."""
    functions = {"ours": ours}
    if peer is not None:
        functions["peer"] = peer
    times = seconds(functions, rounds)
    found = {"seconds": float(np.median(times["ours"]))}
    if peer is not None:
        found["peer_seconds"] = float(np.median(times["peer"]))
        found["ratio"] = float(np.median(times["ours"] / times["peer"]))
    return found


def roofline(tiny=False):
    """The rates of this machine, each the best of 8 measurements."""
    large = backend.has_accelerator()
    size = 256 if tiny else 8192 if large else 2048
    length = 2**20 if tiny else 2**28 if large else 2**25
    x, z = draw(size, size), ops.tile(draw(2**20), length // 2**20)

    def best(function, x):
        function = compiled(function)
        return seconds({"only": lambda: function(x)}, 8)["only"].min()

    products = {
        "float32": lambda x: backend.matmul(x, x),
        "default": lambda x: ops.matmul(x, x),
        "bfloat16": lambda x: ops.matmul(x, x),
    }
    rates = {}
    for precision, product in products.items():
        factor = ops.cast(x, "bfloat16") if precision == "bfloat16" else x
        rates[precision] = 2e-9 * size**3 / best(product, factor)
    copy = best(lambda z: z + 1.0, z)
    return Roofline(rates, 8e-9 * length / copy)


def device():
    """The name of what the backend computes on."""
    if BACKEND == "jax":
        import jax

        return jax.devices()[0].device_kind
    if BACKEND == "torch":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    return "accelerator" if backend.has_accelerator() else "cpu"


def draw(*shape, seed=0, shift=0.0):
    """Standard normal float32 numbers, as a tensor."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(shape, "float32") + np.float32(shift)
    return ops.convert_to_tensor(values)


class PeakMemory:
    """The most megabytes in use since it was made, above those in use then.

    Of an accelerator where the backend has one, otherwise of the process (on
    Linux), which counts what the compiler needed as well.
    """

    def __init__(self):
        self.accelerator = backend.has_accelerator()
        if self.accelerator and BACKEND == "torch":
            import torch

            torch.cuda.reset_peak_memory_stats()
        if not self.accelerator:  # forget the peak
            pathlib.Path("/proc/self/clear_refs").write_text("5")
        self.start = self._now_and_peak()[0]

    def megabytes(self):
        """Above the start, so far."""
        return self._now_and_peak()[1] - self.start

    def _now_and_peak(self):
        if not self.accelerator:
            return _resident("VmRSS"), _resident("VmHWM")
        if BACKEND == "torch":
            import torch

            now = torch.cuda.memory_allocated()
            peak = torch.cuda.max_memory_allocated()
        elif BACKEND == "jax":
            import jax

            usage = jax.devices()[0].memory_stats() or {}
            now = usage.get("bytes_in_use", 0)
            peak = usage.get("peak_bytes_in_use", 0)
        else:
            import tensorflow as tf

            usage = tf.config.experimental.get_memory_info("GPU:0")
            now, peak = usage["current"], usage["peak"]
        return now / 2**20, peak / 2**20


def _resident(name):
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise KeyError(name)


def in_a_fresh_process(script, *arguments, environment=None):
    """What a benchmark script prints as JSON, with a memory of its own."""
    printed = subprocess.run(
        [sys.executable, str(HERE / script), *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ).stdout
    return json.loads(printed.splitlines()[-1])


def exponent(sizes, values):
    """The slope of `log(values)` over `log(sizes)`, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
