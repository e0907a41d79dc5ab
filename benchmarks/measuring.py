"""How the benchmarks measure: time, the rate of the hardware, peak memory."""

import json
import pathlib
import subprocess
import sys
import time

import keras
import numpy as np
from keras import ops

BACKEND = keras.backend.backend()
HERE = pathlib.Path(__file__).parent


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
    """Returns once the result is there."""
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
    """Seconds of each function, which take turns: `{name: array}`.

    Args:
        functions: dict of callables without arguments.
        rounds: int, how often each is called and measured.
    """
    for function in functions.values():
        wait(function())  # compiles
        wait(function())
    times = {name: np.empty(rounds) for name in functions}
    for turn in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            wait(function())
            times[name][turn] = time.perf_counter() - start
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


def matmul_rate(size=2048):
    """GFLOP/s of a product of two square float32 matrices, the best of 8."""
    x = ops.convert_to_tensor(np.ones((size, size), "float32"))
    product = compiled(lambda x: ops.matmul(x, x))
    best = seconds({"matmul": lambda: product(x)}, 8)["matmul"].min()
    return 2 * size**3 / best / 1e9


def draw(*shape, seed=0, shift=0.0):
    """Standard normal float32 numbers, as a tensor."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(shape, "float32") + np.float32(shift)
    return ops.convert_to_tensor(values)


class PeakMemory:
    """The most megabytes that the process held since, above what it held then.

    On Linux. It counts what the compiler needed as well.
    """

    def __init__(self):
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # forget the peak
        self.start = self._read("VmRSS")

    def megabytes(self):
        """Above the start, so far."""
        return self._read("VmHWM") - self.start

    def _read(self, name):
        for line in pathlib.Path("/proc/self/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
        raise KeyError(name)


def in_a_fresh_process(script, *arguments):
    """What a benchmark script prints as JSON, with a memory of its own."""
    printed = subprocess.run(
        [sys.executable, str(HERE / script), *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return json.loads(printed.splitlines()[-1])


def exponent(sizes, values):
    """The slope of `log(values)` over `log(sizes)`, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
