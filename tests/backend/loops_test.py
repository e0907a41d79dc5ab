import re

import keras
import numpy as np
import pytest
from keras import ops

import contracts
from keras_drift import backend
from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import mean_displacements

BACKEND = keras.backend.backend()


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize(
    "options",
    [{}, {"recompute": True}, {"static_first": False}],
    ids=lambda options: "".join(options) or "plain",
)
@pytest.mark.parametrize("compiled", [False, True])
def test_a_loop_counts_its_turns_carries_and_stacks(length, options, compiled):
    a, b = draw(length, 3), draw(length, 2, 2, seed=1)

    def function(index, carry, x):
        a, (b,) = x
        index = ops.cast(index, "float32")
        return carry + index * ops.sum(a), {"a": 2 * a, "b": b + index}

    def loop(a, b):
        return backend.scan(function, ops.ones(()), (a, (b,)), **options)

    loop = backend.jit(loop, []) if compiled else loop
    carry, ys = loop(*map(ops.convert_to_tensor, (a, b)))
    indices = np.arange(length)
    np.testing.assert_allclose(
        contracts.numpy(carry), 1 + indices @ a.sum(axis=1), rtol=1e-5
    )
    np.testing.assert_array_equal(contracts.numpy(ys["a"]), 2 * a)
    np.testing.assert_allclose(
        contracts.numpy(ys["b"]), b + indices[:, None, None], rtol=1e-6
    )


@pytest.mark.parametrize(
    "options", [{}, {"recompute": True}, {"static_first": False}]
)
@pytest.mark.parametrize("compiled", [False, True])
def test_a_gradient_goes_through_all_turns(options, compiled):
    x = draw(3, 5)

    def function(x):
        def add(index, carry, x):
            return carry + (index + 1.0) * ops.sum(x**3), ()

        def number(index, carry, x):
            return add(ops.cast(index, "float32"), carry, x)

        total, _ = backend.scan(number, ops.zeros(()), x, **options)
        return total

    def slope(x):
        return backend.gradient(function, x)

    slope = backend.jit(slope, []) if compiled else slope
    slope = slope(ops.convert_to_tensor(x))
    expected = 3 * x**2 * np.arange(1, 4)[:, None]
    np.testing.assert_allclose(contracts.numpy(slope), expected, rtol=1e-5)


def displacements(x, y, block_size=16):
    pairs = Pairs(x, PointCloud(y), block_size=block_size)
    return mean_displacements(pairs, [lambda cost: -cost])[0]


def program(x, y):
    """What a CPU runs to compute `displacements`, as text."""
    if BACKEND == "jax":
        import jax

        return jax.jit(displacements).lower(x, y).compile().as_text()
    import tensorflow as tf

    compiled = tf.function(
        lambda x, y: displacements(x, y), jit_compile=True, autograph=False
    )
    return compiled.experimental_get_compiler_ir(x, y)(stage="optimized_hlo")


@pytest.mark.skipif(BACKEND == "torch", reason="compiles nothing")
def test_no_exponential_reads_through_a_slice():
    # Compilers for CPUs do not compute several of those at once.
    if backend.has_accelerator():
        pytest.skip("a matter of CPUs")
    x = ops.convert_to_tensor(draw(1, 64, 2))
    computations = re.split(r"\n(?=%|ENTRY)", program(x, x + 1))
    exponentials = [c for c in computations if " exponential(" in c]
    assert exponentials
    assert not any(" dynamic-slice(" in c for c in exponentials)


@pytest.mark.skipif(BACKEND == "torch", reason="compiles nothing")
def test_a_compiled_gradient_through_blocks_is_that_of_all_pairs():
    x, y = ops.convert_to_tensor(draw(1, 8, 2)), draw(1, 9, 2, seed=1)

    def slope(x, block_size):
        def function(x):
            return ops.sum(displacements(x, y, block_size) ** 2)

        return backend.gradient(function, x)

    def compiled(x):
        return slope(x, (8, 3)), slope(x, (3, 4)), slope(x, None)

    if BACKEND == "jax":
        import jax

        found = jax.jit(compiled)(x)
    else:
        import tensorflow as tf

        found = tf.function(compiled, jit_compile=True, autograph=False)(x)
    *blocks, whole = map(contracts.numpy, found)
    for each in blocks:
        np.testing.assert_allclose(each, whole, rtol=1e-5, atol=1e-7)


@pytest.mark.skipif(BACKEND != "torch", reason="the turns must be known")
def test_only_blocks_with_self_pairs_are_masked():
    x = ops.convert_to_tensor(draw(1, 8, 2))
    masked = []

    def function(rows, columns, block):
        masked.append(block.absent is not None)
        return rows, columns

    def nothing(groups, size):
        return ()

    cloud = PointCloud(x, contains_samples=True)
    Pairs(x, cloud, block_size=4).fold(function, nothing, nothing)
    assert masked == [True, False, False, True]
    masked.clear()
    # Seven points make two blocks of four, the second one filled up.
    Pairs(x, PointCloud(x[:, :7]), block_size=(8, 4)).fold(
        function, nothing, nothing
    )
    assert masked == [False, True]
