import keras
import numpy as np
import pytest

from keras_drift.ops import Pairs
from keras_drift.ops import PointCloud
from keras_drift.ops import mean_similarity

BACKEND = keras.backend.backend()

if BACKEND == "tensorflow":
    pytest.skip("TensorFlow keeps all blocks", allow_module_level=True)


def bytes_kept(n):
    """What the gradient of a sum over `n * n` pairs in blocks needs."""
    x = np.random.default_rng(0).normal(size=(1, n, 16)).astype("float32")
    y = keras.ops.convert_to_tensor(x + 1)

    def similarity(x):
        pairs = Pairs(x, PointCloud(y), block_size=64)
        return mean_similarity(pairs, [lambda cost: -cost])

    if BACKEND == "jax":
        import jax

        program = jax.jit(jax.grad(similarity)).lower(x).compile()
        return program.memory_analysis().temp_size_in_bytes
    import torch

    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda each: each):
        similarity(torch.tensor(x, requires_grad=True))
    return sum(kept.values())


def test_a_gradient_does_not_keep_the_blocks():
    # Four times as many samples; all of their pairs would be sixteen times.
    assert bytes_kept(1024) < 8 * bytes_kept(256)
