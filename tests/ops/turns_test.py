"""Reductions with several kernels, which are evaluated one after another."""

import numpy as np
import pytest
from keras import ops

import contracts
from contracts import numpy
from keras_drift import backend
from keras_drift import drifts
from keras_drift import kernels
from keras_drift.ops import LogKernel
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import barycenters
from keras_drift.ops import dual_field
from keras_drift.ops import log_sum_exp
from keras_drift.ops import mean_displacements
from keras_drift.ops import mean_shifts
from keras_drift.ops import weighted_sums


def points(seed, count, dim=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(1, count, dim)).astype("float32")


@pytest.mark.skipif(
    contracts.BACKEND != "jax", reason="asks the compiler of JAX"
)
@pytest.mark.parametrize("normalization", ["row", "sharp", "score", "dual"])
def test_the_pairs_of_few_bandwidths_are_in_memory(normalization):
    import jax

    x, y = points(0, 256, 16), points(1, 256, 16)

    def megabytes(count):
        kernel = kernels.Gaussian([2.0 / 1.5**k for k in range(count)])
        drift = drifts.KernelDrift(kernel, normalization)
        program = jax.jit(lambda x, y: drift(x, y)).lower(x, y).compile()
        return program.memory_analysis().temp_size_in_bytes / 1e6

    # Six more bandwidths; the pairs of one are 0.5 MB, with both sides.
    assert megabytes(8) - megabytes(2) < 1.0


def without_values(rate, cost):
    return cost * float("nan") * rate


def exponential(rate, cost):
    return -rate * cost


def log_kernel(function):
    rate = ops.convert_to_tensor(0.7, "float32")
    return LogKernel(None, "value", (), rate, function)


def with_logs(pairs, log_kernels):
    """`weighted_sums` needs logarithms of rows and columns."""
    _, n, _ = pairs.x.shape
    zeros = [ops.zeros((1, n)) for _ in log_kernels]
    columns = [ops.zeros((1, pairs.points.shape[1])) for _ in log_kernels]
    return weighted_sums(pairs, log_kernels, zeros, columns)


def with_negatives(pairs, log_kernels):
    return [(field,) for field in dual_field(log_kernels, pairs, pairs)]


REDUCTIONS = {
    "barycenters": barycenters,
    "mean_shifts": mean_shifts,
    "mean_displacements": lambda p, k: [(v,) for v in mean_displacements(p, k)],
    "log_sum_exp": log_sum_exp,
    "weighted_sums": with_logs,
    "dual_field": with_negatives,
}


@pytest.mark.parametrize("block_size", [None, 8])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_what_is_not_finite_stays_with_its_kernel(name, block_size):
    def reduced(*functions):
        def reduce(x, y):
            pairs = Pairs(x, PointCloud(y), block_size=block_size)
            return REDUCTIONS[name](pairs, list(map(log_kernel, functions)))

        sets = points(0, 12), points(1, 16)
        sets = [ops.convert_to_tensor(each) for each in sets]
        return contracts.in_one_program(reduce)(*sets)

    _, second = reduced(without_values, exponential)
    (alone,) = reduced(exponential)
    for one, other in zip(second, alone, strict=True):
        np.testing.assert_allclose(
            numpy(one), numpy(other), rtol=1e-5, atol=1e-6
        )
        assert np.isfinite(numpy(one)).all()


def compiled(function):
    """As users compile it, for the processor at hand."""
    if contracts.BACKEND != "tensorflow":
        return contracts.in_one_program(function, optimized=True)
    import tensorflow as tf

    return tf.function(function, jit_compile=True)


@pytest.mark.parametrize("block_size", [None, 16])
@pytest.mark.parametrize("normalization", ["row", "sharp", "score"])
def test_beyond_a_million_bandwidths_the_nearest_points_count(
    normalization, block_size
):
    """A program may round the logits in two ways, hundreds of units apart."""
    x, y, z = points(0, 24)[0], 3 * points(1, 32)[0], points(2, 24)[0]
    drift = drifts.KernelDrift(
        kernels.Gaussian([1e-6, 5e-7]),
        normalization,
        self_interaction="independent",
        block_size=block_size,
    )

    def field(x, y, z):
        return drift(x, y, negatives=z)

    tensors = [ops.convert_to_tensor(each) for each in (x, y, z)]
    found = numpy(compiled(field)(*tensors))
    ahead, behind = (
        each[np.argmin(np.linalg.norm(x[:, None] - each, axis=-1), axis=1)]
        for each in (y, z)
    )
    np.testing.assert_allclose(found, ahead - behind, atol=1e-4)


def test_the_digits_of_large_logits_count():
    """At a logit of five million, a point that leads by ten has all weight."""
    bandwidth = 1.0 / np.sqrt(1e7)
    far = np.sqrt(1.0 + 2 * 10 * bandwidth**2)
    y = np.array([[[1.0, 0.0], [0.0, far]]], "float32")
    x = np.zeros((1, 1, 2), "float32")
    kernel = kernels.Gaussian(float(bandwidth))

    def mean(x, y):
        pairs = Pairs(x, PointCloud(y))
        return barycenters(pairs, kernel.log_kernels())[0][0]

    found = compiled(mean)(ops.convert_to_tensor(x), ops.convert_to_tensor(y))
    np.testing.assert_allclose(numpy(found)[0, 0], [1.0, 0.0], atol=2e-3)


@pytest.mark.parametrize("normalization", ["row", "dual"])
def test_gradients_are_those_of_single_bandwidths(normalization):
    x, y = points(0, 12)[0], points(1, 16)[0]
    bandwidths = [1.0, 0.6, 0.3]

    def of(bandwidths):
        drift = drifts.KernelDrift(
            kernels.Gaussian(bandwidths),
            normalization,
            bandwidth_weights=[1.0] * len(bandwidths),
            relative=False,
            unit_rms=False,
        )

        def total(x):
            target = ops.convert_to_tensor(points(2, 12)[0])
            return ops.sum(target * drift(x, ops.convert_to_tensor(y)))

        gradient = contracts.in_one_program(
            lambda x: backend.gradient(total, x)
        )
        return numpy(gradient(ops.convert_to_tensor(x)))

    np.testing.assert_allclose(
        of(bandwidths), sum(of([b]) for b in bandwidths), atol=1e-5
    )
