import keras
import numpy as np
import pytest

from contracts import copy_of
from contracts import numpy
from keras_drift.generators.modulation import Modulation
from keras_drift.generators.modulation import token_norm

CONDITION = np.array([[1.0, -2.0], [0.5, 3.0]], "float32")


def test_is_zero_at_first():
    vectors = Modulation(3, 4)(CONDITION)
    assert [tuple(vector.shape) for vector in vectors] == [(2, 1, 4)] * 3
    assert all(np.all(numpy(vector) == 0) for vector in vectors)
    shapes = Modulation(3, 4).compute_output_shape((None, 2))
    assert shapes == [(None, 1, 4)] * 3


def test_vectors_are_slices_of_a_dense_layer_after_a_silu():
    layer = Modulation(2, 3)
    layer.build(CONDITION.shape)
    kernel, bias = np.arange(12.0).reshape(2, 6), np.arange(6.0)
    layer.set_weights([kernel, bias])
    expected = CONDITION / (1 + np.exp(-CONDITION)) @ kernel + bias
    first, second = map(numpy, layer(CONDITION))
    np.testing.assert_allclose(first[:, 0], expected[:, :3], rtol=1e-5)
    np.testing.assert_allclose(second[:, 0], expected[:, 3:], rtol=1e-5)
    copy = copy_of(layer)
    assert (copy.count, copy.dim) == (2, 3)


@pytest.mark.parametrize("use_rmsnorm", [True, False])
def test_norm_shows_faint_tokens_as_the_release_does(use_rmsnorm):
    # As faint as the epsilon: a larger one would be seen.
    x = np.array([[[1e-3, 2e-3, -2e-3, 3e-3]]], "float32")
    norm = token_norm(use_rmsnorm, "norm", None)
    centered = x if use_rmsnorm else x - x.mean()
    expected = centered / np.sqrt(np.mean(centered**2) + 1e-6)
    np.testing.assert_allclose(numpy(norm(x)), expected, atol=1e-5)
    assert len(norm.variables) == use_rmsnorm


def test_half_precision_rounds_the_result_alone():
    layer = Modulation(2, 3)
    half = Modulation(2, 3, dtype="mixed_bfloat16")
    weights = [np.linspace(0.1, 1.3, 12).reshape(2, 6), np.full(6, 0.3)]
    for each in (layer, half):
        each.build(CONDITION.shape)
        each.set_weights(weights)
    for exact, rounded in zip(layer(CONDITION), half(CONDITION), strict=True):
        assert keras.backend.standardize_dtype(rounded.dtype) == "bfloat16"
        expected = numpy(keras.ops.cast(exact, "bfloat16"))
        np.testing.assert_array_equal(numpy(rounded), expected)
